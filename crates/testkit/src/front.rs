//! What stands in front of servers, for tests: real PgBouncer, Envoy and HAProxy on
//! 127.0.0.1. Each dies with the test.

mod envoy;
mod haproxy;
mod pgbouncer;

pub use envoy::Envoy;
pub use haproxy::Haproxy;
pub use pgbouncer::PgBouncer;

use std::env;
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use trunkline_sandbox::{Component, component_program};

use crate::cluster::ok;

const READY_WITHIN: Duration = Duration::from_mins(1);
const POLL_EVERY: Duration = Duration::from_millis(20);

/// Why a test that needs this program cannot run, or `None` when it is there.
///
/// With `CI=true` in the environment a missing program is a failure, not a reason to skip.
pub fn missing_program(name: &str) -> Option<String> {
    if component_program(name).is_some() {
        return None;
    }
    let reason = format!("{name} is not installed; run cargo xtask setup --test");
    assert!(
        env::var("CI").as_deref() != Ok("true"),
        "{reason} (CI=true: not skipped)"
    );
    Some(reason)
}

/// Returns from the test, saying why, unless all these programs are installed.
#[macro_export]
macro_rules! skip_unless_installed {
    ($($name:expr),+ $(,)?) => {
        $(if let Some(reason) = $crate::front::missing_program($name) {
            $crate::skipped(&reason);
            return;
        })+
    };
}

fn prepare(name: &str) -> Component {
    let program = component_program(name).unwrap_or_else(|| panic!("{name} is not installed"));
    ok("prepare a component", Component::prepare(&program))
}

/// Starts it, and waits until it takes connections on these ports.
fn start(component: &mut Component, arguments: &[String], ports: &[u16]) {
    ok("start a component", component.start(arguments));
    let limit = Instant::now() + READY_WITHIN;
    let takes = |port: &u16| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok();
    while !ports.iter().all(takes) {
        let runs = ok("look at a component", component.runs());
        assert!(
            runs && Instant::now() < limit,
            "it is not ready:\n{}",
            component.log()
        );
        thread::sleep(POLL_EVERY);
    }
}
