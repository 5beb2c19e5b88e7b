//! Free TCP ports for servers.

use std::net::{Ipv4Addr, TcpListener};

/// Below the range from which the operating system takes the ports of outgoing connections, so
/// that no connection takes a server's port while the server restarts.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A port of 127.0.0.1 on which nothing listens at this moment.
///
/// Somebody else may take it before the server does; the caller tries again then.
pub fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(|| fastrand::u16(PORTS))
        .take(200)
        .find(free)
        .unwrap_or_else(|| fastrand::u16(PORTS))
}
