//! What the kernel knows of a TCP connection.

use std::os::fd::RawFd;

use pingora::protocols::l4::ext::get_tcp_info;

/// `TCP_ESTABLISHED` of Linux: neither side has ended the connection.
const ESTABLISHED: u8 = 1;
/// `TCP_FIN_WAIT1` and `TCP_FIN_WAIT2`: this side has ended it, and the origin has not.
const FIN_WAIT: [u8; 2] = [4, 5];

/// `TCP_INFO` counts the SYN among what is acknowledged, and not among what is sent.
const SYN: u64 = 1;

/// Bytes of a connection's whole life, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct TcpCounts {
    state: u8,
    /// Sent by us, and acknowledged.
    acknowledged: u64,
    /// Sent by us, each byte counted once.
    sent: u64,
    /// Written by us: sent, or waiting in the kernel.
    written: u64,
    /// Sent by the origin; its FIN counts as one.
    received: u64,
}

impl TcpCounts {
    pub fn of(descriptor: RawFd) -> Option<TcpCounts> {
        get_tcp_info(descriptor).ok().map(|info| {
            let sent = info.tcpi_bytes_sent.saturating_sub(info.tcpi_bytes_retrans);
            TcpCounts {
                state: info.tcpi_state,
                acknowledged: info.tcpi_bytes_acked,
                sent,
                written: sent + u64::from(info.tcpi_notsent_bytes),
                received: info.tcpi_bytes_received,
            }
        })
    }

    pub fn is_established(&self) -> bool {
        self.state == ESTABLISHED
    }

    /// Whether the origin has ended it, be it after this side.
    pub fn is_ended_by_origin(&self) -> bool {
        self.state != ESTABLISHED && !FIN_WAIT.contains(&self.state)
    }

    /// What the origin has sent since `before`.
    pub fn received_since(&self, before: &TcpCounts) -> u64 {
        self.received.saturating_sub(before.received)
    }

    /// Whether the origin has ended the connection without a byte having reached it that was written since `before`. After a
    /// `reset` the acknowledgements say nothing: the kernel does not look at that of a reset. What was never sent did not reach it
    /// either way.
    pub fn is_end_before_anything_after(&self, before: &TcpCounts, reset: bool) -> bool {
        let never_sent = self.sent > 0 && self.sent <= before.written;
        // Whatever was on its way before may be acknowledged meanwhile.
        let known = before.acknowledged.max(before.written + SYN);
        let not_arrived = !reset && self.acknowledged <= known && self.received > before.received;
        self.is_ended_by_origin() && (never_sent || not_arrived)
    }
}
