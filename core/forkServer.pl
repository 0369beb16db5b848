# Starts the commands of one worker, for core/forkServer.ts.
#
# stdin   requests: the length as 32 bits, big-endian, then that many bytes, which are fields with NUL between them:
#         id, directory, log file, group note, number of variables, NAME=value ..., arguments of sh ...
# stdout  "ready" once; then for each request
#         "started ID PID SIZE"   its process group is noted, and the command runs; SIZE: the log file's length before
#         "failed ID STEP ERRNO"  the command did not run, even if it was said to have started
#         "ended ID STATUS"       STATUS as wait(2) gives it
#
# The end of stdin means that the worker is gone: every command's group is killed. Nothing else ends the server, so that
# a signal to everything of queuectl leaves the commands the time that the worker gives them.
#
# The exit of a command is learned of by a pidfd, which select can wait for. A handler of SIGCHLD would be more
# portable, but the signal may arrive just before select begins to wait, and then the exit goes unnoticed.
#
# What a job costs here is page faults after the fork, in both processes: the less they touch, the better.
use strict;
use warnings;
use Fcntl qw(O_APPEND O_CREAT O_TRUNC O_WRONLY);

# Since Linux 5.3 and 5.9; the numbers are the same on all architectures but alpha.
my $PIDFD_OPEN  = 434;
my $CLOSE_RANGE = 436;
my $WNOHANG     = 1;

my @survived = qw(HUP INT PIPE TERM);
$SIG{$_} = sub { } for @survived;

# Files opened here are closed by exec; a command gets only 0, 1 and 2.
open my $requests, '<&:raw', \*STDIN  or exit 1;
open my $replies,  '>&:raw', \*STDOUT or exit 1;
open STDIN,  '<', '/dev/null' or exit 1;
open STDOUT, '>', '/dev/null' or exit 1;
close_fd(open_pidfd($$)) == 0 or exit 1;
reply('ready');

my %running;             # pid => [id, pidfd]
my $watched = '';        # bit n is set: select waits for file n
vec($watched, fileno $requests, 1) = 1;
my $received = '';

while (1) {
    my $ready = $watched;
    next if select($ready, undef, undef, undef) < 0;
    while ((my $pid = waitpid -1, $WNOHANG) > 0) {
        my ($id, $pidfd) = @{ delete $running{$pid} };
        vec($watched, $pidfd, 1) = 0;
        close_fd($pidfd);
        reply("ended $id $?");
    }
    next unless vec($ready, fileno $requests, 1);
    sysread $requests, $received, 1 << 16, length $received or last;
    while (length $received >= 4) {
        my $length = unpack 'N', $received;
        last if length $received < 4 + $length;
        start(split /\0/, substr($received, 4, $length), -1);
        substr($received, 0, 4 + $length) = '';
    }
}
kill KILL => map { ($_, -$_) } keys %running;    # the pid too: it may not lead its group yet

sub start {
    my ($id) = @_;
    my $pid = fork;
    return reply("failed $id fork " . ($! + 0)) unless defined $pid;
    run(@_) if $pid == 0;
    my $pidfd = open_pidfd($pid);
    if ($pidfd < 0) {
        my $errno = $! + 0;
        kill KILL => $pid, -$pid;
        waitpid $pid, 0;
        return reply("failed $id fork $errno");
    }
    vec($watched, $pidfd, 1) = 1;
    $running{$pid} = [$id, $pidfd];
}

# Becomes the command, or ends.
sub run {
    my ($id, $directory, $log_file, $group_note, $variables, @args) = @_;
    setpgrp 0, 0;
    $SIG{$_} = 'DEFAULT' for @survived;
    close STDOUT;    # so that the next file opened becomes number 1
    sysopen STDOUT, $log_file, O_WRONLY | O_APPEND | O_CREAT, 0600 or fail($id, 'log');
    open STDERR, '>&', \*STDOUT or fail($id, 'log');
    chdir $directory or fail($id, 'directory') if $directory ne '';
    note("$group_note.$$") or fail($id, 'note') if $group_note ne '';
    reply("started $id $$ " . (-s STDOUT || 0)) or exit 1;
    for (splice @args, 0, $variables) {
        my ($name, $value) = split /=/, $_, 2;
        $ENV{$name} = $value;
    }
    no warnings 'exec';
    exec { '/bin/sh' } 'sh', @args or fail($id, 'exec');
}

# Writes when this process started: field 22 of its stat; the second may hold spaces and parentheses.
sub note {
    my ($file) = @_;
    open my $stat, '<', '/proc/self/stat' or return;
    sysread $stat, my $text, 4096 or return;
    my $start_time = (split ' ', substr $text, rindex($text, ')') + 2)[19];
    sysopen my $note, $file, O_WRONLY | O_CREAT | O_TRUNC, 0600 or return;
    syswrite $note, $start_time and return 1;
    my $errno = $! + 0;
    unlink $file;
    $! = $errno;
    return;
}

sub fail {
    my ($id, $step) = @_;
    reply("failed $id $step " . ($! + 0));
    exit 1;
}

sub reply { return syswrite $replies, "$_[0]\n" }

sub open_pidfd { return syscall $PIDFD_OPEN, $_[0] + 0, 0 }

sub close_fd { return syscall $CLOSE_RANGE, $_[0] + 0, $_[0] + 0, 0 }
