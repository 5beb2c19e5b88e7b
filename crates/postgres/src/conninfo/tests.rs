//! Resolving whole settings: what goes before what, what is shown and handed on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{
    Conninfo, ConninfoError, Demand, Environment, RootCertificates, SslMode, TargetSession,
};

/// A directory of its own that is removed at the end.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let unique = format!("trunkline-conninfo-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(unique);
        fs::create_dir_all(&path).expect("a writable temporary directory");
        Self(path)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a writable file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("own file");
        path
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Left over, it is only a few bytes in the temporary directory.
        drop(fs::remove_dir_all(&self.0));
    }
}

fn env() -> Environment {
    Environment::empty().with_os_user("osuser")
}

fn resolve(text: &str, env: &Environment) -> Conninfo {
    Conninfo::resolve_with(text, env).expect(text)
}

fn password(conninfo: &Conninfo, host: usize) -> Option<&str> {
    conninfo.password_for(host).map(super::Secret::reveal)
}

#[test]
fn nothing_given_means_libpqs_defaults() {
    let conninfo = resolve("", &env());
    assert_eq!(conninfo.user(), "osuser");
    assert_eq!(conninfo.database(), "osuser");
    assert_eq!(conninfo.label(), "localhost:5432/osuser");
    let settings = conninfo.settings();
    assert_eq!(settings.tls.mode, SslMode::Prefer);
    assert_eq!(settings.target_session, TargetSession::Any);
    assert_eq!(settings.channel_binding, Demand::Prefer);
    assert_eq!(settings.connect_timeout, Some(Duration::from_mins(1)));
}

#[test]
fn the_default_socket_is_used_if_a_server_has_one() {
    let home = Home::new("socket");
    home.write(".s.PGSQL.5433", "", 0o600);
    let env = env().with_socket_directory(&home.0);
    assert_eq!(resolve("", &env).label(), "localhost:5432/osuser");
    let conninfo = resolve("port=5433", &env);
    assert_eq!(
        conninfo.label(),
        format!("{}:5433/osuser", home.0.display())
    );
}

#[test]
fn text_goes_before_the_service_and_that_before_the_environment() {
    let home = Home::new("precedence");
    home.write(
        ".pg_service.conf",
        "[s]\nhost=servicehost\nport=6001\nuser=serviceuser\n",
        0o600,
    );
    let env = env()
        .with_home(&home.0)
        .with("PGHOST", "envhost")
        .with("PGDATABASE", "envdb")
        .with("PGUSER", "envuser")
        .with("PGSERVICE", "s");
    let conninfo = resolve("port=6000", &env);
    assert_eq!(conninfo.label(), "servicehost:6000/envdb");
    assert_eq!(conninfo.user(), "serviceuser");
    let missing = Conninfo::resolve_with("service=nope", &env).expect_err("no such service");
    assert!(
        matches!(missing, ConninfoError::Service { .. }),
        "{missing}"
    );
}

#[test]
fn the_service_file_may_be_named_or_system_wide() {
    let home = Home::new("servicefile");
    let file = home.write("pg_service.conf", "[s]\nhost=found\n", 0o600);
    let system = env().with("PGSYSCONFDIR", &home.0.to_string_lossy());
    let named = env().with("PGSERVICEFILE", &file.to_string_lossy());
    for env in [system, named] {
        assert_eq!(resolve("service=s", &env).label(), "found:5432/osuser");
    }
    let absent = env().with("PGSERVICEFILE", "/nonexistent/file");
    assert!(Conninfo::resolve_with("service=s", &absent).is_err());
}

#[test]
fn an_empty_value_goes_before_the_environment_and_means_the_default() {
    let env = env()
        .with("PGHOST", "envhost")
        .with("PGPASSWORD", "envpass");
    let conninfo = resolve("host='' password=''", &env);
    assert_eq!(conninfo.label(), "localhost:5432/osuser");
    assert_eq!(password(&conninfo, 0), None);
}

#[test]
fn several_hosts_pair_with_their_ports_and_addresses() {
    let cases = [
        ("host=a,b port=1,2", "a:1,b:2/osuser"),
        ("host=a,b", "a:5432,b:5432/osuser"),
        ("host=a,b port=7", "a:7,b:7/osuser"),
        ("host=a,b port=,7", "a:5432,b:7/osuser"),
        ("host=,b", "localhost:5432,b:5432/osuser"),
        ("hostaddr=::1", "[::1]:5432/osuser"),
        ("host=a hostaddr=10.0.0.1", "a:5432/osuser"),
        ("host=/run/pg,b", "/run/pg:5432,b:5432/osuser"),
        ("postgres://[::1]:3,b/d", "[::1]:3,b:5432/d"),
        ("postgres:///d?host=/sock&port=9", "/sock:9/d"),
    ];
    for (text, label) in cases {
        assert_eq!(resolve(text, &env()).label(), label, "{text}");
    }
    for text in [
        "host=a,b port=1,2,3",
        "host=a,b hostaddr=10.0.0.1",
        "hostaddr=nonsense",
        "port=0",
        "port=65536",
        "port=x",
    ] {
        assert!(Conninfo::resolve_with(text, &env()).is_err(), "{text}");
    }
}

#[test]
fn the_password_file_is_asked_for_each_host_and_for_a_changed_database() {
    let home = Home::new("passfile");
    let text = "a:1:d:u:for-a\nb:2:d:u:for-b\n*:*:other:u:for-other\nlocalhost:*:*:u:local\n";
    home.write(".pgpass", text, 0o600);
    let env = env().with_home(&home.0).with_socket_directory("/sock");
    let conninfo = resolve("host=a,b,c port=1,2,3 user=u dbname=d", &env);
    assert_eq!(password(&conninfo, 0), Some("for-a"));
    assert_eq!(password(&conninfo, 1), Some("for-b"));
    assert_eq!(password(&conninfo, 2), None);
    let other = conninfo.with_database("other");
    assert_eq!(password(&other, 2), Some("for-other"));
    let given = conninfo.with_password("given");
    assert_eq!(password(&given, 0), Some("given"));
    let socket = resolve("host=/sock user=u dbname=d", &env);
    assert_eq!(password(&socket, 0), Some("local"));
    let directory = resolve("host=/elsewhere user=u dbname=d", &env);
    assert_eq!(password(&directory, 0), None);
}

#[test]
fn a_password_file_that_others_can_read_is_ignored() {
    let home = Home::new("passfile-mode");
    for (mode, expected) in [(0o600, Some("p")), (0o640, None), (0o604, None)] {
        let file = home.write("passwords", "*:*:*:*:p\n", mode);
        let env = env().with("PGPASSFILE", &file.to_string_lossy());
        assert_eq!(password(&resolve("", &env), 0), expected, "{mode:o}");
    }
}

#[test]
fn what_is_stored_is_read_back_in_another_environment() {
    let env = env()
        .with("PGHOST", "h1,h2")
        .with("PGPORT", "1,2")
        .with("PGSSLMODE", "require")
        .with("PGPASSWORD", "hunter2")
        .with("PGOPTIONS", "-c geqo=off -c x='y\\z'");
    let first = resolve("dbname='my db' application_name=trunk", &env);
    let stored = first.without_password();
    assert!(!stored.contains("hunter2"), "{stored}");
    let bare = Environment::empty().with_os_user("someone-else");
    let second = resolve(&stored, &bare);
    assert_eq!(second.label(), first.label());
    assert_eq!(second.user(), "osuser");
    assert_eq!(second.settings(), first.settings());
    assert_eq!(second.value("options"), first.value("options"));
    assert_eq!(second.without_password(), stored);
    assert_eq!(password(&second, 0), None);
}

#[test]
fn a_service_stays_named_only_where_it_holds_the_password() {
    let home = Home::new("service-password");
    let services = "[with]\nhost=h\npassword=hunter2\n[without]\nhost=h\n";
    home.write(".pg_service.conf", services, 0o600);
    let env = env().with_home(&home.0);
    let with = resolve("service=with", &env).without_password();
    assert!(
        with.contains("service='with'") && !with.contains("hunter2"),
        "{with}"
    );
    assert_eq!(password(&resolve(&with, &env), 0), Some("hunter2"));
    let without = resolve("service=without", &env).without_password();
    assert!(!without.contains("service"), "{without}");
}

#[test]
fn secrets_are_nowhere_but_in_the_childs_environment() {
    let text = "host=h user=u password=hunter2 sslpassword=hunter3 keepalives_idle=9 \
                oauth_client_secret=hunter4 scram_client_key=hunter5 replication=database";
    let conninfo = resolve(text, &env());
    let shown = format!(
        "{conninfo} {conninfo:?} {} {} {}",
        conninfo.label(),
        conninfo.without_password(),
        conninfo.child_dbname()
    );
    assert!(!shown.contains("hunter"), "{shown}");
    assert_eq!(conninfo.child_dbname(), "dbname='u' keepalives_idle='9'");
    let child = conninfo.child_environment();
    let value = |name: &str| {
        let found = child.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(value("PGHOST"), Some("h"));
    assert_eq!(value("PGPORT"), Some("5432"));
    assert_eq!(value("PGUSER"), Some("u"));
    assert_eq!(value("PGDATABASE"), Some("u"));
    assert_eq!(value("PGPASSWORD"), Some("hunter2"));
    assert_eq!(value("PGSERVICE"), None);
    let cleared = Conninfo::child_environment_cleared();
    for (name, _) in &child {
        assert!(cleared.contains(&name.as_str()), "{name}");
    }
    assert!(cleared.contains(&"PGSERVICE") && cleared.contains(&"PGHOSTADDR"));
}

#[test]
fn an_error_never_repeats_a_value_that_may_be_a_password() {
    for text in [
        "password=my hunter2",
        "password=my hunter2=x",
        "password='hunter2",
        "host=h hunter2 = 1",
        "port=hunter2",
        "sslmode=hunter2",
        "hunter2",
        "mysql://u:hunter2@h/d",
    ] {
        let error = Conninfo::resolve_with(text, &env()).expect_err(text);
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_misspelt_keyword_is_answered_with_the_nearest_one() {
    let error = Conninfo::resolve_with("sslmoed=require", &env()).expect_err("misspelt");
    assert!(error.to_string().contains("\"sslmode\""), "{error}");
    let error = Conninfo::resolve_with("postgres://h/d?aplication_name=x", &env());
    let text = error.expect_err("misspelt").to_string();
    assert!(text.contains("\"application_name\""), "{text}");
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    for text in [
        "sslmode=requre",
        "sslrootcert=system sslmode=require",
        "sslnegotiation=direct sslmode=prefer",
        "sslcrl=/x",
        "sslcrldir=/x",
        "ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2",
        "target_session_attrs=master",
        "channel_binding=yes",
        "connect_timeout=soon",
        "require_auth=md5,!none",
        "require_auth=kerberos",
        "host=@abstract",
    ] {
        assert!(Conninfo::resolve_with(text, &env()).is_err(), "{text}");
    }
}

#[test]
fn tls_settings_follow_libpq() {
    let system = resolve("sslrootcert=system", &env());
    assert_eq!(system.settings().tls.roots, RootCertificates::System);
    assert_eq!(system.settings().tls.mode, SslMode::VerifyFull);
    let file = resolve("sslrootcert=/ca.crt sslmode=verify-ca", &env());
    let expected = RootCertificates::File(Path::new("/ca.crt").into());
    assert_eq!(file.settings().tls.roots, expected);
    let old = resolve("requiressl=1", &env());
    assert_eq!(old.settings().tls.mode, SslMode::Require);
    let old = resolve("", &env().with("PGREQUIRESSL", "1"));
    assert_eq!(old.settings().tls.mode, SslMode::Require);
    let jdbc = resolve("postgres://h/d?ssl=true", &env());
    assert_eq!(jdbc.settings().tls.mode, SslMode::Require);
}

#[test]
fn every_keyword_of_libpq_is_read_and_kept() {
    for keyword in super::KEYWORDS {
        let value = match keyword.name {
            "service" | "sslcrl" | "sslcrldir" => continue,
            "channel_binding" | "sslmode" => "require",
            "sslnegotiation" => "postgres",
            "sslcertmode" => "allow",
            "require_auth" => "md5",
            "target_session_attrs" => "primary",
            "hostaddr" => "10.0.0.1",
            name if name.starts_with("ssl_") => "TLSv1.3",
            _ => "1",
        };
        let text = format!("{}={value}", keyword.name);
        let conninfo = resolve(&text, &env());
        let kept = conninfo.value(keyword.name) == Some(value)
            || conninfo.secrets.contains_key(keyword.name);
        assert!(kept, "{}", keyword.name);
    }
}

#[test]
fn timeouts_are_in_seconds_and_zero_waits_for_ever() {
    let timeout = |text: &str| resolve(text, &env()).settings().connect_timeout;
    assert_eq!(timeout("connect_timeout=7"), Some(Duration::from_secs(7)));
    assert_eq!(timeout("connect_timeout=0"), None);
    assert_eq!(timeout("connect_timeout=-1"), None);
    assert!(
        resolve("keepalives=0", &env())
            .settings()
            .keepalives
            .is_none()
    );
    let keepalives = resolve("keepalives_idle=9", &env()).settings().keepalives;
    assert_eq!(keepalives.expect("on").idle, Duration::from_secs(9));
}
