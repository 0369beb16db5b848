# Starts commands for one worker; core/run/forkServer.ts is its only client. Why it is not Node: a process this small forks
# in a fraction of the time, and can enter a process group of its own and note it before the command begins.
#
# stdin   requests: the length as 32 bits, big-endian, then that many bytes, which are fields with NUL between them:
#         id, directory, log file, longest output or nothing, mark of a cut, group note, guard, number of variables,
#         NAME=value ..., arguments of sh ...
# stdout  "ready" once; then for each request
#         "started ID PID"            the command runs. Told only of a command that does not end at once: telling of
#                                     each would cost as much as running it
#         "ended ID PID STATUS"       STATUS as wait(2) gives it
#         "failed ID STEP ERRNO"      the command did not run, even if it was said to have started
#
# The end of stdin means that the worker is gone: every command's group is killed. Nothing else ends the server, so that
# a signal to everything of queuectl leaves the commands the time that the worker gives them.
#
# What a command has left behind may write to its log for as long as it likes. Where somebody does, which a lease tells
# (fcntl(2)), a process stays that keeps the log short.
#
# The exit of a command is learned of by a pidfd, which select can wait for. A handler of SIGCHLD would be more
# portable, but the signal may arrive just before select begins to wait, and then the exit goes unnoticed.
#
# What a job costs here is page faults after the fork, above all in the new process: so nearly all is done before it.
use strict;
use warnings;
use Fcntl qw(F_RDLCK O_APPEND O_CREAT O_EXCL O_NOFOLLOW O_NONBLOCK O_RDONLY O_WRONLY);

# Since Linux 5.3 and 5.9; the numbers are the same on all architectures but alpha.
my $PIDFD_OPEN  = 434;
my $CLOSE_RANGE = 436;
my $WNOHANG     = 1;
my $EAGAIN      = 11;
my $EEXIST      = 17;
my $ENOSPC      = 28;
my $F_SETLEASE  = 1024;

my $TICKS_A_SECOND = 100;     # USER_HZ, in which /proc tells start times
my $AT_ONCE        = 0.01;    # seconds
my $LOOK_EVERY     = 0.5;     # seconds

# A process that is not the command yet treats a signal as the command would. What it becomes has no handlers.
my $server = $$;
my $survive = sub {
    my ($signal) = @_;
    return if $$ == $server;
    $SIG{$signal} = 'DEFAULT';
    kill $signal => $$;
};
$SIG{$_} = $survive for qw(HUP INT PIPE TERM);
$SIG{IO} = sub { };    # somebody has opened a file of which this process had a lease just then

# Files opened here are closed by exec, and those that were open before are closed now; a command gets only 0, 1 and 2.
syscall($CLOSE_RANGE, 3, 0xFFFF_FFFF, 0) == 0 or exit 1;
open my $requests, '<&:raw', \*STDIN  or exit 1;
open my $replies,  '>&:raw', \*STDOUT or exit 1;
open STDIN,  '<', '/dev/null' or exit 1;
open STDOUT, '>', '/dev/null' or exit 1;
sysopen my $home, '.', O_RDONLY or exit 1;
sysopen my $uptime, '/proc/uptime', O_RDONLY or exit 1;
my $started = own_start_time();
my $before  = uptime();
close_fd(open_pidfd($$)) == 0 or exit 1;
reply('ready');

my %running;             # pid => [id, pidfd, log file, longest output, mark, guard]
my @untold;              # pids of %running that no "started" has told of
my $patience = $AT_ONCE; # seconds until they are told of
my %notes;               # path => its file, and the number of its inode
my %inherited = %ENV;
my @variables;           # names of those that the last command had of its own
my $watched = '';        # bit n is set: select waits for file n
vec($watched, fileno $requests, 1) = 1;
my $received = '';

while (1) {
    my $ready = $watched;
    my ($count, $left) = select($ready, undef, undef, @untold ? $patience : undef);
    next if $count < 0;
    $patience = $left if @untold;
    while ((my $pid = waitpid -1, $WNOHANG) > 0) {
        my ($id, $pidfd, @log) = @{ delete $running{$pid} || next };
        vec($watched, $pidfd, 1) = 0;
        close_fd($pidfd);
        @untold = grep { $_ != $pid } @untold;
        reply("ended $id $pid $?");
        keep_short(@log) if $log[1] ne '';
    }
    if (@untold && ($count == 0 || $patience <= 0)) {
        setpgrp $_, $_ for @untold;    # who hears of it may end the group, and a slow child may not lead it yet
        reply("started $running{$_}[0] $_") for @untold;
        @untold = ();
    }
    next unless $count > 0 && vec($ready, fileno $requests, 1);
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
    my ($id, $directory, $log_file, $longest, $mark, $note_file, $guard, $variables, @args) = @_;
    close STDOUT;    # so that the next file opened becomes number 1
    make_log($log_file) or return fail($id, 'log');
    open STDERR, '>&', \*STDOUT or return fail($id, 'log');
    chdir($directory eq '' ? $home : $directory) or return fail($id, 'directory');
    my $note = open_note($note_file) or return fail($id, 'note');
    set_environment(splice @args, 0, $variables);
    # What starts now starts then, or a little later: some containers have an uptime of their own.
    my $start_time = $started + int((uptime() - $before) * $TICKS_A_SECOND);
    my $pid        = fork;
    return fail($id, 'fork') unless defined $pid;
    run($id, $note, $start_time, $guard, \@args) if $pid == 0;
    my $pidfd = open_pidfd($pid);
    if ($pidfd < 0) {
        kill KILL => $pid, -$pid;    # it may have begun, so it is not one that failed to start
        waitpid $pid, 0;
        return reply("ended $id $pid $?");
    }
    vec($watched, $pidfd, 1) = 1;
    $running{$pid} = [$id, $pidfd, $log_file, $longest, $mark, $guard];
    $patience = $AT_ONCE unless @untold;
    push @untold, $pid;
}

# A log that is there loses its name; who has it open keeps it.
sub make_log {
    my ($file) = @_;
    my $flags = O_WRONLY | O_APPEND | O_CREAT | O_EXCL;
    return 1 if sysopen STDOUT, $file, $flags, 0600;
    return $! == $EEXIST && unlink($file) && sysopen STDOUT, $file, $flags, 0600;
}

# Whatever is in its place and is no file, such as a link or a FIFO, loses its name. None is kept that others cannot find.
sub open_note {
    my ($file) = @_;
    my $inode = (lstat $file)[1];
    if (defined $inode) {
        my $note = $notes{$file};
        return $note->[0] if $note && $note->[1] == $inode;
        -f _ || -d _ || unlink $file or return;
    }
    sysopen my $note, $file, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600 or return;
    $notes{$file} = [$note, (stat $note)[1]];
    return $note;
}

# Becomes the command, or ends.
sub run {
    my ($id, $note, $start_time, $guard, $args) = @_;
    setpgrp 0, 0;
    sysseek $note, 0, 0;
    my $written = syswrite $note, sprintf("%-47s\n", "$$ $start_time");    # as core/run/groupNote.ts describes
    $! = $ENOSPC if defined $written && $written < 48;
    # Who takes the worker for dead removes the guard, and then looks for the note: one of the two sees the other.
    unless (($written || 0) == 48 && ($guard eq '' || -e $guard)) {
        fail($id, 'note');
        exit 1;
    }
    no warnings 'exec';
    exec { '/bin/sh' } 'sh', @$args or fail($id, 'exec');
    exit 1;
}

sub open_to_read {
    my ($file) = @_;
    sysopen my $opened, $file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK or return;
    return $opened;
}

# Whether anybody has a file open to write to it; not, where that is not to be told. What it is given is open for reading.
sub is_written {
    my ($file) = @_;
    return !fcntl($file, $F_SETLEASE, F_RDLCK) && $! == $EAGAIN;    # a lease is given up when the file is closed
}

sub seems_written {
    my ($file) = @_;
    my $opened = open_to_read($file);
    return $opened && is_written($opened);
}

sub forget_output {
    open STDOUT, '>', '/dev/null';
    open STDERR, '>', '/dev/null';
    return;
}

# Leaves a process that keeps a log short for as long as somebody writes to it, whatever becomes of the worker, or of its name.
sub keep_short {
    my ($file, $longest, $mark, $guard) = @_;
    my $log = open_to_read($file) or return;
    return unless is_written($log);
    # It may be this process: the last log that was made is still its own output.
    forget_output();
    return unless is_written($log);
    return if seems_written($guard);    # some network file systems grant no lease at all
    my $pid = fork;
    return if !defined $pid || $pid > 0;
    setpgrp 0, 0;
    $SIG{$_} = 'DEFAULT' for qw(HUP INT PIPE TERM);
    $0 = "queuectl keeps $file short";
    forget_output();
    # Not all of them by one call: perl would go on counting who uses their numbers, and not close what has one next.
    close $_ for $requests, $replies, $home, $uptime, map { $_->[0] } values %notes;
    close_fd($_->[1]) for values %running;
    my $kept = $longest + length $mark;
    while (is_written($log)) {
        if ((-s $log || 0) > $kept && sysopen my $output, '/proc/self/fd/' . fileno $log, O_WRONLY) {
            truncate $output, $kept;
            sysseek $output, $longest, 0;
            syswrite $output, $mark;    # over whatever has been written meanwhile
        }
        select undef, undef, undef, $LOOK_EVERY;
    }
    # Not by exit: that would flush and destroy what is the server's.
    kill KILL => $$;
}

sub set_environment {
    for (@variables) {
        if   (exists $inherited{$_}) { $ENV{$_} = $inherited{$_} }
        else                         { delete $ENV{$_} }
    }
    @variables = ();
    for (@_) {
        my ($name, $value) = split /=/, $_, 2;
        $ENV{$name} = $value;
        push @variables, $name;
    }
}

# Field 22 of stat; the second may hold spaces and parentheses.
sub own_start_time {
    sysopen my $stat, '/proc/self/stat', O_RDONLY or exit 1;
    sysread $stat, my $text, 4096 or exit 1;
    return (split ' ', substr $text, rindex($text, ')') + 2)[19];
}

# In seconds.
sub uptime {
    sysseek $uptime, 0, 0;
    sysread $uptime, my $text, 64 or return 0;
    return (split ' ', $text)[0];
}

sub fail {
    my ($id, $step) = @_;
    return reply("failed $id $step " . ($! + 0));
}

sub reply { return syswrite $replies, "$_[0]\n" }

sub open_pidfd { return syscall $PIDFD_OPEN, $_[0] + 0, 0 }

sub close_fd { return syscall $CLOSE_RANGE, $_[0] + 0, $_[0] + 0, 0 }
