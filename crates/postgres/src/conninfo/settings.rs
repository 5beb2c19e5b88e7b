//! The values that the handshake acts on, read once into types (manual, "Parameter Key Words").

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::environment::Environment;
use super::error::ConninfoError;

/// `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// `sslnegotiation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SslNegotiation {
    Postgres,
    Direct,
}

/// `channel_binding`, and `sslcertmode`, which has the same three values but for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    Disable,
    Prefer,
    Require,
}

/// `target_session_attrs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetSession {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

/// `sslrootcert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RootCertificates {
    /// The operating system's.
    System,
    /// A file that the settings name.
    File(PathBuf),
    /// `~/.postgresql/root.crt`, used if it exists.
    Default(Option<PathBuf>),
}

/// The lowest and highest TLS version allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TlsVersion {
    V12,
    V13,
}

/// What TLS is set up from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    pub(crate) mode: SslMode,
    pub(crate) negotiation: SslNegotiation,
    pub(crate) roots: RootCertificates,
    /// The certificate and key that the settings name, or libpq's default files if they exist.
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) certificate_use: Demand,
    pub(crate) server_name_indication: bool,
    pub(crate) lowest: TlsVersion,
    pub(crate) highest: TlsVersion,
}

/// TCP keepalives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keepalives {
    pub(crate) idle: Duration,
    pub(crate) interval: Duration,
    pub(crate) count: u32,
}

/// Everything that the handshake acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) tls: TlsSettings,
    pub(crate) channel_binding: Demand,
    pub(crate) target_session: TargetSession,
    /// For each address; `None` waits for ever.
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) keepalives: Option<Keepalives>,
    pub(crate) tcp_user_timeout: Option<Duration>,
    pub(crate) require_peer: Option<String>,
    pub(crate) require_auth: Vec<String>,
}

/// libpq waits for ever by default; a migration that hangs in a dead connection is worse.
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_mins(1);

/// libpq leaves this to the operating system, whose two hours are longer than what firewalls
/// keep an idle connection for, and a walsender's client may be idle.
const KEEPALIVES_DEFAULT: Keepalives = Keepalives {
    idle: Duration::from_mins(1),
    interval: Duration::from_secs(10),
    count: 6,
};

/// Values by keyword, with the rules for reading them.
struct Values<'a>(&'a BTreeMap<&'static str, String>);

impl Values<'_> {
    fn text(&self, keyword: &str) -> Option<&str> {
        self.0.get(keyword).map(String::as_str)
    }

    fn path(&self, keyword: &str) -> Option<PathBuf> {
        self.text(keyword).map(PathBuf::from)
    }

    fn number(&self, keyword: &'static str) -> Result<Option<i32>, ConninfoError> {
        let read = |text: &str| {
            text.trim()
                .parse()
                .map_err(|_| ConninfoError::invalid(keyword, "a whole number"))
        };
        self.text(keyword).map(read).transpose()
    }

    fn flag(&self, keyword: &'static str) -> Result<bool, ConninfoError> {
        self.choice(keyword, &[("1", true), ("0", false)], true)
    }

    fn choice<T: Copy>(
        &self,
        keyword: &'static str,
        choices: &[(&str, T)],
        default: T,
    ) -> Result<T, ConninfoError> {
        let Some(text) = self.text(keyword) else {
            return Ok(default);
        };
        let chosen = choices.iter().find(|(name, _)| *name == text);
        chosen.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            ConninfoError::invalid(keyword, format!("one of {}", names.join(", ")))
        })
    }

    /// A positive number of units, where zero or less means `None`.
    fn duration(
        &self,
        keyword: &'static str,
        unit: Duration,
    ) -> Result<Option<Duration>, ConninfoError> {
        let number = self.number(keyword)?.unwrap_or(0);
        Ok(u32::try_from(number)
            .ok()
            .filter(|number| *number > 0)
            .map(|number| unit * number))
    }
}

impl Settings {
    pub(super) fn read(
        values: &BTreeMap<&'static str, String>,
        environment: &Environment,
    ) -> Result<Self, ConninfoError> {
        let values = Values(values);
        let preference = [
            ("disable", Demand::Disable),
            ("prefer", Demand::Prefer),
            ("require", Demand::Require),
        ];
        let second = Duration::from_secs(1);
        let connect_timeout = match values.text("connect_timeout") {
            None => Some(CONNECT_TIMEOUT_DEFAULT),
            Some(_) => values.duration("connect_timeout", second)?,
        };
        Ok(Self {
            tls: TlsSettings::read(&values, environment)?,
            channel_binding: values.choice("channel_binding", &preference, Demand::Prefer)?,
            target_session: values.choice(
                "target_session_attrs",
                &[
                    ("any", TargetSession::Any),
                    ("read-write", TargetSession::ReadWrite),
                    ("read-only", TargetSession::ReadOnly),
                    ("primary", TargetSession::Primary),
                    ("standby", TargetSession::Standby),
                    ("prefer-standby", TargetSession::PreferStandby),
                ],
                TargetSession::Any,
            )?,
            connect_timeout,
            keepalives: keepalives(&values)?,
            tcp_user_timeout: values.duration("tcp_user_timeout", Duration::from_millis(1))?,
            require_peer: values.text("requirepeer").map(str::to_owned),
            require_auth: require_auth(&values)?,
        })
    }
}

fn keepalives(values: &Values<'_>) -> Result<Option<Keepalives>, ConninfoError> {
    let second = Duration::from_secs(1);
    let default = KEEPALIVES_DEFAULT;
    let read = Keepalives {
        idle: values
            .duration("keepalives_idle", second)?
            .unwrap_or(default.idle),
        interval: values
            .duration("keepalives_interval", second)?
            .unwrap_or(default.interval),
        count: values
            .number("keepalives_count")?
            .and_then(|count| u32::try_from(count).ok())
            .filter(|count| *count > 0)
            .unwrap_or(default.count),
    };
    Ok((values.number("keepalives")? != Some(0)).then_some(read))
}

/// The methods that `require_auth` lists, each with its `!` if it has one; they cannot be mixed.
fn require_auth(values: &Values<'_>) -> Result<Vec<String>, ConninfoError> {
    const METHODS: [&str; 7] = [
        "password",
        "md5",
        "gss",
        "sspi",
        "scram-sha-256",
        "oauth",
        "none",
    ];
    let Some(text) = values.text("require_auth") else {
        return Ok(Vec::new());
    };
    let methods: Vec<String> = text.split(',').map(|item| item.trim().to_owned()).collect();
    let negated = methods
        .iter()
        .filter(|method| method.starts_with('!'))
        .count();
    let known = |method: &String| METHODS.contains(&method.trim_start_matches('!'));
    if !methods.iter().all(known) || (negated != 0 && negated != methods.len()) {
        return Err(ConninfoError::invalid(
            "require_auth",
            format!(
                "a list of {}, all of them with \"!\" or none",
                METHODS.join(", ")
            ),
        ));
    }
    Ok(methods)
}

impl TlsSettings {
    fn read(values: &Values<'_>, environment: &Environment) -> Result<Self, ConninfoError> {
        for keyword in ["sslcrl", "sslcrldir"] {
            if values.text(keyword).is_some() {
                return Err(ConninfoError::Unsupported {
                    keyword,
                    why: "revocation lists are not read; leave it out, or reach the server \
                          through a host that checks them",
                });
            }
        }
        let roots = match values.text("sslrootcert") {
            Some("system") => RootCertificates::System,
            Some(path) => RootCertificates::File(path.into()),
            None => RootCertificates::Default(environment.in_home(".postgresql/root.crt")),
        };
        let default_mode = match roots {
            RootCertificates::System => SslMode::VerifyFull,
            RootCertificates::File(_) | RootCertificates::Default(_) => SslMode::Prefer,
        };
        let modes = [
            ("disable", SslMode::Disable),
            ("allow", SslMode::Allow),
            ("prefer", SslMode::Prefer),
            ("require", SslMode::Require),
            ("verify-ca", SslMode::VerifyCa),
            ("verify-full", SslMode::VerifyFull),
        ];
        let mode = values.choice("sslmode", &modes, default_mode)?;
        if roots == RootCertificates::System && mode != SslMode::VerifyFull {
            return Err(ConninfoError::invalid(
                "sslmode",
                "verify-full with sslrootcert=system, where anyone can get a certificate",
            ));
        }
        let negotiations = [
            ("postgres", SslNegotiation::Postgres),
            ("direct", SslNegotiation::Direct),
        ];
        let negotiation =
            values.choice("sslnegotiation", &negotiations, SslNegotiation::Postgres)?;
        if negotiation == SslNegotiation::Direct && mode < SslMode::Require {
            return Err(ConninfoError::invalid(
                "sslmode",
                "require, verify-ca or verify-full with sslnegotiation=direct",
            ));
        }
        let uses = [
            ("disable", Demand::Disable),
            ("allow", Demand::Prefer),
            ("require", Demand::Require),
        ];
        let existing = |file: &str| environment.in_home(file).filter(|path| path.exists());
        let (lowest, highest) = tls_versions(values)?;
        Ok(Self {
            mode,
            negotiation,
            roots,
            certificate: values
                .path("sslcert")
                .or_else(|| existing(".postgresql/postgresql.crt")),
            key: values
                .path("sslkey")
                .or_else(|| existing(".postgresql/postgresql.key")),
            certificate_use: values.choice("sslcertmode", &uses, Demand::Prefer)?,
            server_name_indication: values.flag("sslsni")?,
            lowest,
            highest,
        })
    }
}

fn tls_versions(values: &Values<'_>) -> Result<(TlsVersion, TlsVersion), ConninfoError> {
    let lowest = values.choice(
        "ssl_min_protocol_version",
        &[
            // Older versions are never spoken, so allowing them changes nothing.
            ("TLSv1", TlsVersion::V12),
            ("TLSv1.1", TlsVersion::V12),
            ("TLSv1.2", TlsVersion::V12),
            ("TLSv1.3", TlsVersion::V13),
        ],
        TlsVersion::V12,
    )?;
    let highest = values.choice(
        "ssl_max_protocol_version",
        &[("TLSv1.2", TlsVersion::V12), ("TLSv1.3", TlsVersion::V13)],
        TlsVersion::V13,
    )?;
    if lowest > highest {
        return Err(ConninfoError::invalid(
            "ssl_max_protocol_version",
            "at least ssl_min_protocol_version",
        ));
    }
    Ok((lowest, highest))
}
