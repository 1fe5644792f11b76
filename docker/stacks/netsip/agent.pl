#!/usr/bin/perl
# A user agent on Net::SIP: one call. It knows no session timers.
use strict;
use warnings;
use Getopt::Long;
use Net::SIP;

$| = 1;
my %wanted;
# The others are of stacks that have timers.
GetOptions(\%wanted, 'local=s', 'edge=s', 'call=s', 'hold-after=i', 'expires=i', 'min-se=i', 'refresher=s', 'method=s', 'timer=s')
  or exit 2;
die "agent: --local and --edge are needed\n" unless $wanted{local} and $wanted{edge};

my $agent = Net::SIP::Simple->new(
    leg  => Net::SIP::Leg->new(addr => $wanted{local}, port => 5060, proto => 'udp'),
    from => "sip:netsip\@$wanted{local}",
);
my $over = 0;
my %call = (
    init_media => $agent->rtp('media_send_recv', sub { "\xff" x 160 }, -1),
    recv_bye   => \$over,
    cb_final   => sub { print "final $_[0]\n" },
);
print "ready\n";
# The call is kept: Net::SIP answers nothing of a call that nobody holds.
my $call;
if ($wanted{call}) {
    $call = $agent->invite("sip:$wanted{call}\@$wanted{edge}", %call) or die "agent: no call: " . $agent->error . "\n";
} else {
    $agent->listen(%call) or die "agent: no listening: " . $agent->error . "\n";
}
$agent->loop(undef, \$over);
# The BYE's answer is still to be sent.
$agent->loop(1);
