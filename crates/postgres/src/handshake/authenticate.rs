//! Proving who we are: nothing, a clear-text password, MD5, SCRAM-SHA-256 with and without
//! channel binding (manual, "SASL Authentication" and "Start-up"). No message of this exchange is
//! ever logged or put into an error.

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;

use super::startup::{Exchange, Progress};
use crate::conninfo::{Demand, Secret};
use crate::error::PgError;
use crate::transport::Transport;

/// What we have to prove who we are, and what we insist on.
pub(super) struct Credentials<'a> {
    pub(super) user: &'a str,
    pub(super) password: Option<&'a Secret>,
    /// `host:port`, for messages.
    pub(super) label: &'a str,
    /// The hash of the server's certificate, where channel binding is possible.
    pub(super) end_point: Option<Vec<u8>>,
    pub(super) channel_binding: Demand,
    /// The methods of `require_auth`; empty allows all.
    pub(super) require_auth: &'a [String],
}

/// What has been proved when the server says that it is enough.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    No,
    ToChannel,
}

impl Credentials<'_> {
    fn password(&self) -> Result<&[u8], PgError> {
        let password = self.password.map(|secret| secret.reveal().as_bytes());
        password.ok_or_else(|| {
            PgError::Auth(format!(
                "{} asks for the password of {}, and none was given (PGPASSWORD, the password \
                 file ~/.pgpass, or the settings)",
                self.label, self.user
            ))
        })
    }

    /// Checks a method against `require_auth`, before anything is sent for it.
    fn allow(&self, method: &str) -> Result<(), PgError> {
        let listed = |item: &String| item.trim_start_matches('!') == method;
        let negated = self.require_auth.iter().any(|item| item.starts_with('!'));
        if self.require_auth.is_empty() || self.require_auth.iter().any(listed) != negated {
            return Ok(());
        }
        Err(PgError::Auth(format!(
            "{} asks for the method {method}, which require_auth does not allow",
            self.label
        )))
    }

    /// With `channel_binding=require` only SCRAM with channel binding may see the password.
    fn allow_unbound(&self) -> Result<(), PgError> {
        if self.channel_binding != Demand::Require {
            return Ok(());
        }
        Err(PgError::Auth(format!(
            "channel_binding=require, but {} does not authenticate with it (it needs TLS and a \
             SCRAM password)",
            self.label
        )))
    }
}

/// Answers the server's requests until it says `AuthenticationOk`.
pub(super) async fn authenticate(
    exchange: &mut Exchange<'_>,
    credentials: &Credentials<'_>,
    progress: &mut Progress,
) -> Result<(), PgError> {
    let message = exchange.receive().await?;
    progress.accepted = true;
    let mut reply = BytesMut::new();
    let bound = match message {
        Message::AuthenticationOk => {
            credentials.allow("none")?;
            return credentials.allow_unbound();
        }
        Message::AuthenticationCleartextPassword => {
            credentials.allow("password")?;
            credentials.allow_unbound()?;
            let password = credentials.password()?;
            if matches!(exchange.transport, Transport::Tcp(_)) {
                tracing::warn!(
                    host = credentials.label,
                    "the server asks for the password in clear text, without TLS"
                );
            }
            frontend::password_message(password, &mut reply)?;
            exchange.send(&reply).await?;
            Bound::No
        }
        Message::AuthenticationMd5Password(body) => {
            credentials.allow("md5")?;
            credentials.allow_unbound()?;
            let user = credentials.user.as_bytes();
            let hash = md5_hash(user, credentials.password()?, body.salt());
            frontend::password_message(hash.as_bytes(), &mut reply)?;
            exchange.send(&reply).await?;
            Bound::No
        }
        Message::AuthenticationSasl(body) => {
            credentials.allow("scram-sha-256")?;
            scram(exchange, credentials, &body).await?
        }
        message => return Err(unexpected(&message)),
    };
    match exchange.receive().await? {
        Message::AuthenticationOk if bound == Bound::ToChannel => Ok(()),
        Message::AuthenticationOk => credentials.allow_unbound(),
        message => Err(unexpected(&message)),
    }
}

fn unexpected(message: &Message) -> PgError {
    let method = match message {
        Message::AuthenticationGss | Message::AuthenticationGssContinue(_) => "GSSAPI",
        Message::AuthenticationSspi => "SSPI",
        Message::AuthenticationKerberosV5 => "Kerberos V5",
        Message::AuthenticationScmCredential => "SCM credentials",
        _ => {
            return PgError::Protocol("an unexpected message during authentication".to_owned());
        }
    };
    PgError::Auth(format!(
        "the server asks for {method}, which is not supported; let pg_hba.conf offer \
         scram-sha-256 or cert to this role"
    ))
}

/// RFC 5802 and 7677, with the password as the only secret.
async fn scram(
    exchange: &mut Exchange<'_>,
    credentials: &Credentials<'_>,
    offer: &AuthenticationSaslBody,
) -> Result<Bound, PgError> {
    let offered: Vec<&str> = offer.mechanisms().collect()?;
    let is_tls = exchange.transport.is_tls();
    let (mechanism, binding, bound) = choose(credentials, &offered, is_tls)?;
    let mut scram = ScramSha256::new(credentials.password()?, binding);
    let mut reply = BytesMut::new();
    frontend::sasl_initial_response(mechanism, scram.message(), &mut reply)?;
    exchange.send(&reply).await?;
    let Message::AuthenticationSaslContinue(body) = exchange.receive().await? else {
        return Err(broken_scram(credentials));
    };
    scram
        .update(body.data())
        .map_err(|_| broken_scram(credentials))?;
    reply.clear();
    frontend::sasl_response(scram.message(), &mut reply)?;
    exchange.send(&reply).await?;
    let Message::AuthenticationSaslFinal(body) = exchange.receive().await? else {
        return Err(broken_scram(credentials));
    };
    // The server proves here that it knows the password too.
    scram
        .finish(body.data())
        .map_err(|_| broken_scram(credentials))?;
    Ok(bound)
}

/// The mechanism, and what to say about channel binding. Saying that we could have bound where
/// the server offers no binding lets a server that did offer it notice the man in the middle.
fn choose(
    credentials: &Credentials<'_>,
    offered: &[&str],
    is_tls: bool,
) -> Result<(&'static str, ChannelBinding, Bound), PgError> {
    if offered.contains(&SCRAM_SHA_256_PLUS)
        && let Some(hash) = &credentials.end_point
    {
        let binding = ChannelBinding::tls_server_end_point(hash.clone());
        return Ok((SCRAM_SHA_256_PLUS, binding, Bound::ToChannel));
    }
    credentials.allow_unbound()?;
    if offered.contains(&SCRAM_SHA_256_PLUS) && !is_tls {
        return Err(PgError::Auth(format!(
            "{} offers channel binding on a connection without TLS",
            credentials.label
        )));
    }
    if !offered.contains(&SCRAM_SHA_256) {
        return Err(PgError::Auth(format!(
            "{} offers none of the SASL mechanisms that are supported (SCRAM-SHA-256)",
            credentials.label
        )));
    }
    let binding = match credentials.end_point {
        Some(_) => ChannelBinding::unrequested(),
        None => ChannelBinding::unsupported(),
    };
    Ok((SCRAM_SHA_256, binding, Bound::No))
}

fn broken_scram(credentials: &Credentials<'_>) -> PgError {
    PgError::Auth(format!(
        "the SCRAM exchange with {} failed: it is not a server that knows this password",
        credentials.label
    ))
}
