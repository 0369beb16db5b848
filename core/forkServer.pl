# Starts the commands of one worker, for core/forkServer.ts.
#
# stdin   requests: the length as 32 bits, big-endian, then that many bytes, which are fields with NUL between them:
#         id, directory, log file, group note, number of variables, NAME=value ..., arguments of /bin/sh ...
# stdout  "ready" once; then for each request
#         "started ID PID SIZE"   its process group is noted and the command runs; SIZE: the log file's length before
#         "failed ID STEP ERRNO"  the command did not run, even if it was told to have started
#         "ended ID STATUS"       STATUS as wait(2) gives it
#
# The end of stdin means that the worker is gone: every command's group is killed.
#
# An exit is learned of by a pidfd, which select can wait for. A SIGCHLD handler would be more portable, but the
# signal may arrive just before select begins to wait, and then the exit goes unnoticed.
use strict;
use warnings;
use Fcntl qw(O_APPEND O_CREAT O_TRUNC O_WRONLY);

my $PIDFD_OPEN = 434;    # the number is the same on all architectures of Linux but alpha
my $WNOHANG    = 1;

$SIG{PIPE} = sub { };    # a handler, because exec resets it to the default, which 'IGNORE' would survive

# What is opened here is closed by exec; the commands get only 0, 1 and 2.
open my $requests, '<&:raw', \*STDIN  or exit 1;
open my $replies,  '>&:raw', \*STDOUT or exit 1;
open STDIN,  '<', '/dev/null' or exit 1;
open STDOUT, '>', '/dev/null' or exit 1;
open_pidfd($$) or exit 1;
reply('ready');

my %running;             # pid => [id, pidfd]
my $watched = '';
vec($watched, fileno $requests, 1) = 1;
my $received = '';

while (1) {
    my $ready = $watched;
    next if select($ready, undef, undef, undef) < 0;
    while ((my $pid = waitpid -1, $WNOHANG) > 0) {
        my ($id, $pidfd) = @{ delete $running{$pid} };
        vec($watched, fileno $pidfd, 1) = 0;
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
    my $id  = $_[0];
    my $pid = fork;
    return reply("failed $id fork " . ($! + 0)) unless defined $pid;
    run(@_) if $pid == 0;
    my $pidfd = open_pidfd($pid);
    if (!$pidfd) {
        my $errno = $! + 0;
        kill KILL => $pid, -$pid;
        waitpid $pid, 0;
        return reply("failed $id fork $errno");
    }
    vec($watched, fileno $pidfd, 1) = 1;
    $running{$pid} = [$id, $pidfd];
}

# Becomes the command.
sub run {
    my ($id, $directory, $log_file, $group_note, $variables, @args) = @_;
    my $fail = sub { reply("failed $id $_[0] " . ($! + 0)); exit 1 };
    setpgrp 0, 0;
    close STDOUT;    # so that the next file opened becomes number 1
    sysopen STDOUT, $log_file, O_WRONLY | O_APPEND | O_CREAT, 0600 or $fail->('log');
    open STDERR, '>&', \*STDOUT or $fail->('log');
    chdir $directory or $fail->('directory') if $directory ne '';
    note("$group_note.$$") or $fail->('note') if $group_note ne '';
    reply("started $id $$ " . (-s STDOUT || 0)) or exit 1;
    for (splice @args, 0, $variables) {
        my ($name, $value) = split /=/, $_, 2;
        $ENV{$name} = $value;
    }
    no warnings 'exec';
    exec { '/bin/sh' } 'sh', @args or $fail->('exec');
}

# Writes when this process started: field 22 of its stat, the second of which may hold spaces and parentheses.
sub note {
    my ($file) = @_;
    open my $stat, '<', '/proc/self/stat' or return;
    sysread $stat, my $text, 4096 or return;
    my $start_time = (split ' ', substr $text, rindex($text, ')') + 2)[19];
    sysopen my $note, $file, O_WRONLY | O_CREAT | O_TRUNC, 0600 or return;
    syswrite $note, $start_time and return 1;
    my $error = $!;
    unlink $file;
    $! = $error;
    return;
}

sub open_pidfd {
    my ($pid) = @_;
    my $number = syscall $PIDFD_OPEN, $pid + 0, 0;
    return if $number < 0;
    open my $pidfd, '<&=', $number or return;
    return $pidfd;
}

sub reply { return syswrite $replies, "$_[0]\n" }
