//! Cancelling what a session does (manual, "Canceling Requests in Progress").

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Peer, encrypt, socket, within};
use crate::conninfo::Conninfo;
use crate::error::PgError;

/// Sends `CancelRequest` to the server of a session, by a connection that is encrypted if the
/// session is, and waits until the server has taken it. Whether it had an effect shows in the
/// session alone.
pub(crate) async fn send_cancel(
    conninfo: &Conninfo,
    peer: &Peer,
    process_id: i32,
    secret_key: i32,
) -> Result<(), PgError> {
    let settings = conninfo.settings();
    let host = conninfo.hosts().get(peer.host).ok_or_else(|| {
        PgError::Protocol("the session to cancel is not of these settings".to_owned())
    })?;
    let cancel = async {
        let socket = socket::connect(&peer.address, &peer.label, settings).await?;
        let mut transport = encrypt::encrypt(socket, host, peer.encryption, &settings.tls).await?;
        let mut request = BytesMut::new();
        frontend::cancel_request(process_id, secret_key, &mut request);
        transport.write_all(&request).await?;
        transport.flush().await?;
        // The server answers by closing, often without TLS's farewell.
        let mut nothing = [0; 1];
        let _closed = transport.read(&mut nothing).await;
        Ok(())
    };
    within(settings.connect_timeout, host, cancel).await
}
