//! The bedside's inputs: from the boards' serial lines, the connection to the node, the clock and the
//! process.

use link::{Event, Uplink};

/// One thing that happened.
pub(crate) enum Input {
    /// A board's serial line was opened, or is gone.
    Board {
        /// It is there.
        there: bool,
    },
    /// Bytes of a board.
    Bytes {
        /// Which board, in configuration order.
        n: usize,
        /// As they came.
        bytes: Vec<u8>,
    },
    /// A session with the node is open.
    Connected(Box<dyn Uplink>),
    /// It is over.
    Disconnected {
        /// Another device opened one with this gateway's key.
        taken_over: bool,
    },
    /// From the node.
    Node(Event),
    /// A tenth of a second has passed.
    Tick,
    /// Read no more from the boards; end once nothing waits, or now.
    Stop {
        /// Send what waits first.
        drain: bool,
    },
}
