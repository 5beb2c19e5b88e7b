//! Envoy's admin interface: one GET a connection, in as much of HTTP/1.1 as Envoy answers in.

use std::collections::HashMap;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::failure::{Failure, shown};
use crate::limits::ANSWER_MAX_BYTES;

/// The body of what Envoy answers; anything but 200 is a failure.
pub(super) async fn get(admin: &str, path: &str) -> Result<String, Failure> {
    let answer = exchange(admin, path).await.map_err(|cause| Failure::Peer {
        peer: format!("Envoy at {admin}"),
        cause,
    })?;
    body(&answer).map_err(|why| Failure::found(format!("Envoy at {admin}: GET {path}: {why}")))
}

async fn exchange(admin: &str, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(admin).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_MAX_BYTES)
        .read_to_end(&mut answer)
        .await?;
    Ok(answer)
}

fn body(answer: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or("the answer has no end")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split_whitespace().nth(1) != Some("200") {
        return Err(format!("{status}: {}", shown(body)));
    }
    let is_chunked = head.lines().skip(1).any(|line| {
        let line = line.to_ascii_lowercase();
        line.starts_with("transfer-encoding:") && line.contains("chunked")
    });
    if is_chunked {
        unchunked(body)
    } else {
        Ok(body.to_owned())
    }
}

/// RFC 9112, section 7.1: each chunk after its length in hexadecimal digits, the last empty.
fn unchunked(body: &str) -> Result<String, String> {
    let cut_off = || "the answer was cut off".to_owned();
    let (mut rest, mut whole) = (body, String::new());
    loop {
        let (length, after) = rest.split_once("\r\n").ok_or_else(cut_off)?;
        let digits = length.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(digits, 16).map_err(|_| cut_off())?;
        if length == 0 {
            return Ok(whole);
        }
        whole.push_str(after.get(..length).ok_or_else(cut_off)?);
        rest = after.get(length + 2..).ok_or_else(cut_off)?;
    }
}

/// How often a subscription was taken up and refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Updates {
    pub(super) attempted: u64,
    pub(super) succeeded: u64,
    pub(super) rejected: u64,
    pub(super) failed: u64,
}

/// Reads `<prefix>.update_*`; `None` where Envoy has no such subscription.
pub(super) async fn updates(admin: &str, prefix: &str) -> Result<Option<Updates>, Failure> {
    let answer = get(admin, "/stats?filter=update_").await?;
    let counters: HashMap<&str, u64> = answer
        .lines()
        .filter_map(|line| line.rsplit_once(": "))
        .filter_map(|(name, value)| Some((name, value.trim().parse().ok()?)))
        .collect();
    let counter = |name: &str| counters.get(format!("{prefix}.{name}").as_str()).copied();
    Ok(counter("update_attempt").map(|attempted| Updates {
        attempted,
        succeeded: counter("update_success").unwrap_or_default(),
        rejected: counter("update_rejected").unwrap_or_default(),
        failed: counter("update_failure").unwrap_or_default(),
    }))
}

/// The addresses that a cluster's connections go to now.
pub(super) async fn hosts(admin: &str, cluster: &str) -> Result<Vec<String>, Failure> {
    let answer = get(admin, "/clusters").await?;
    Ok(hosts_of(&answer, cluster))
}

/// Lines are `cluster::address::name::value`; an IPv6 address is in brackets.
fn hosts_of(answer: &str, cluster: &str) -> Vec<String> {
    let mut found: Vec<String> = answer
        .lines()
        .filter_map(|line| line.strip_prefix(cluster)?.strip_prefix("::"))
        .filter_map(|rest| {
            rest.strip_suffix("::health_flags::healthy").or_else(|| {
                let (address, _) = rest.split_once("::health_flags::")?;
                Some(address)
            })
        })
        .map(str::to_owned)
        .collect();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let plain = b"HTTP/1.1 200 OK\r\nx: y\r\n\r\na: 1\n";
        assert_eq!(body(plain).as_deref(), Ok("a: 1\n"));
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na: \r\n2\r\n1\n\r\n0\r\n\r\n";
        assert_eq!(body(chunked).as_deref(), Ok("a: 1\n"));
        assert!(body(&chunked[..chunked.len() - 8]).is_err());
        assert!(body(b"HTTP/1.1 404 Not Found\r\n\r\nno").is_err());
        assert!(body(b"").is_err());
    }

    #[test]
    fn the_hosts_of_one_cluster_are_told_from_its_settings_and_from_others() {
        let answer = "pg::default_priority::max_connections::1024\n\
                      pg::127.0.0.1:1::cx_active::0\npg::127.0.0.1:1::health_flags::healthy\n\
                      pg::[::1]:2::health_flags::/failed_active_hc\n\
                      pg2::127.0.0.1:3::health_flags::healthy\n";
        assert_eq!(hosts_of(answer, "pg"), ["127.0.0.1:1", "[::1]:2"]);
    }
}
