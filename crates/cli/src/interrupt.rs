//! Ctrl-C and SIGTERM: the first asks the command to stop at a safe place, the second ends
//! the process at once (which is safe too, and slower to go on from).

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first signal cancels.
pub(crate) fn on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
        ) else {
            return;
        };
        for ends in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            cancelled.cancel();
            if ends {
                std::process::exit(130);
            }
            eprintln!("stopping at a safe place; once more to stop at once");
        }
    });
    token
}
