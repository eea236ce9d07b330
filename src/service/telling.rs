//! What a run process gets so that it can say that it is ready.

use std::ffi::{CStr, CString, OsStr, OsString};

/// What a run process gets so that it can say that it is ready.
#[derive(Debug, Default)]
pub struct Telling {
    /// The FIFO, and the descriptor that it becomes.
    pub fifo: Option<(CString, u8)>,
    /// Variables that the run process gets for it.
    pub variables: Vec<(OsString, OsString)>,
}

impl Telling {
    /// The variables with which a program finds the socket of sd_notify(3), and how often it has to say that it is well.
    pub fn by_socket(socket: &OsStr, watchdog: Option<std::time::Duration>) -> Telling {
        let interval = watchdog.map(|interval| ("WATCHDOG_USEC".into(), interval.as_micros().to_string().into()));
        let variables = [("NOTIFY_SOCKET".into(), socket.to_os_string())].into_iter().chain(interval).collect();
        Telling { fifo: None, variables }
    }

    pub(super) fn fourth(&self) -> Option<(&CStr, i32)> {
        self.fifo.as_ref().map(|(path, number)| (path.as_c_str(), i32::from(*number)))
    }
}
