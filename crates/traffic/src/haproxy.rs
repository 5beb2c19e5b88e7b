//! HAProxy, by its runtime socket: a server's address is set and read back, and sessions
//! that still go to the old one are ended. It holds nobody: it has no queue that a TCP client
//! could wait in, and lowering a frontend's `maxconn` to 0 for that makes HAProxy 2.6 end
//! itself when it is raised again with connections waiting (its issue 2726).

mod runtime;

use std::time::Duration;

use trunkline_changes::Side;
use trunkline_migration::traffic::{Step, Traffic};

pub use runtime::RuntimeSocket;

use crate::address::{AddressError, Addresses, named};
use crate::failure::{Failure, shown, within};
use runtime::address_in_state;

/// One HAProxy of a plan.
#[derive(Clone, Debug)]
pub struct HaproxyPlan {
    /// Its runtime socket, with level admin.
    pub socket: RuntimeSocket,
    /// `backend/server`.
    pub servers: Vec<String>,
    /// Both sides, as HAProxy reaches them: IP addresses.
    pub addresses: Addresses,
}

/// Moves the clients of one HAProxy.
#[derive(Clone, Debug)]
pub struct Haproxy {
    plan: HaproxyPlan,
}

impl Haproxy {
    /// The adapter for one HAProxy, which resolves no names.
    pub fn new(mut plan: HaproxyPlan) -> Result<Self, AddressError> {
        plan.addresses = plan.addresses.numeric()?;
        Ok(Haproxy { plan })
    }

    /// Gives the address that HAProxy has for a server.
    async fn address_of(&self, server: &str) -> Result<(String, u16), Failure> {
        let (backend, name) = server.split_once('/').unwrap_or((server, ""));
        let command = format!("show servers state {backend}");
        let answer = self.plan.socket.ask(&command).await?;
        address_in_state(&answer, name).ok_or_else(|| {
            let (socket, said) = (&self.plan.socket, shown(&answer));
            let said = if said.contains("srv_name") {
                String::new()
            } else {
                format!(": {said}")
            };
            Failure::found(format!("{socket} has no server {server}{said}"))
        })
    }

    async fn goes_to(&self, server: &str, side: Side) -> Result<(), Failure> {
        let address = self.plan.addresses.of(side);
        let (host, port) = self.address_of(server).await?;
        if host.parse().ok() == address.ip() && port == address.port {
            return Ok(());
        }
        let (socket, side) = (&self.plan.socket, named(side));
        Err(Failure::found(format!(
            "{socket}: server {server} goes to {host}:{port}, not to the {side} {address}"
        )))
    }

    async fn look_at_all(&self, serves: Side) -> Result<(), Failure> {
        for server in &self.plan.servers {
            self.goes_to(server, serves).await?;
            // Set to what it is: whether we may, and nothing else.
            let said = self.set(server, serves).await?;
            if said.to_ascii_lowercase().contains("permission denied") {
                let (socket, said) = (&self.plan.socket, shown(&said));
                return Err(Failure::found(format!(
                    "{socket}: {said}; its socket needs `level admin`"
                )));
            }
        }
        Ok(())
    }

    async fn set(&self, server: &str, side: Side) -> Result<String, Failure> {
        let address = self.plan.addresses.of(side);
        let (host, port) = (&address.host, address.port);
        let command = format!("set server {server} addr {host} port {port}");
        self.plan.socket.ask(&command).await
    }

    async fn point_all_at(&self, side: Side) -> Result<(), Failure> {
        for server in &self.plan.servers {
            let said = self.set(server, side).await?;
            self.goes_to(server, side)
                .await
                .map_err(|why| Failure::found(format!("{why}; it answered: {}", shown(&said))))?;
        }
        // After all of them point there, so that who comes back comes to the right side.
        for server in &self.plan.servers {
            let command = format!("shutdown sessions server {server}");
            let said = self.plan.socket.ask(&command).await?;
            if !said.trim().is_empty() {
                let (socket, said) = (&self.plan.socket, shown(&said));
                return Err(Failure::found(format!("{socket}: {said}")));
            }
        }
        Ok(())
    }

    async fn read_back(&self, serves: Side) -> Result<(), Failure> {
        for server in &self.plan.servers {
            self.goes_to(server, serves).await?;
        }
        Ok(())
    }
}

impl Traffic for Haproxy {
    fn describe(&self) -> String {
        format!(
            "{} holds nobody: the fence ends the sessions of {}, and new ones fail until it \
             is switched",
            self.plan.socket,
            self.plan.servers.join(", ")
        )
    }

    fn look(&self, serves: Side, time: Duration) -> Step<'_> {
        Box::pin(async move {
            let looked = within(time, self.look_at_all(serves)).await;
            looked.map_err(|failure| failure.at("look"))
        })
    }

    fn hold(&self, _serves: Side, _time: Duration) -> Step<'_> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn point_at(&self, side: Side, time: Duration) -> Step<'_> {
        Box::pin(async move {
            let pointed = within(time, self.point_all_at(side)).await;
            pointed.map_err(|failure| failure.at("switch"))
        })
    }

    fn release(&self, _serves: Side, _time: Duration) -> Step<'_> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn verify(&self, serves: Side, time: Duration) -> Step<'_> {
        Box::pin(async move {
            let verified = within(time, self.read_back(serves)).await;
            verified.map_err(|failure| failure.at("verify"))
        })
    }
}
