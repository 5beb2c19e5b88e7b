//! Who we are and which server we take, against real servers.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use trunkline_postgres::{Conninfo, Environment, PgError, ServerVersion, Session, SqlState};
use trunkline_testkit::{Cluster, any_major};

const PASSWORD: &str = "correct horse ü";

fn conninfo(text: &str) -> Conninfo {
    let environment = Environment::empty().with_os_user("postgres");
    Conninfo::resolve_with(text, &environment).expect(text)
}

async fn connect(conninfo: &Conninfo) -> Session {
    match Session::connect(conninfo, "test").await {
        Ok(session) => session,
        Err(error) => panic!("{conninfo}: {error}"),
    }
}

async fn refusal(conninfo: &Conninfo) -> PgError {
    match Session::connect(conninfo, "test").await {
        Ok(_) => panic!("{conninfo}: connected"),
        Err(error) => error,
    }
}

async fn value(session: &mut Session, sql: &str) -> String {
    let row = session.query_one(sql, &[]).await.expect(sql);
    row.get(0).expect(sql)
}

/// A server with a role for each way to authenticate.
async fn server_with_passwords() -> Cluster {
    let cluster = Cluster::builder(any_major())
        .hba(
            "host all postgres 127.0.0.1/32 trust\n\
             host all scram_role 127.0.0.1/32 scram-sha-256\n\
             host all md5_role 127.0.0.1/32 md5\n\
             host all clear_role 127.0.0.1/32 password\n\
             local all all trust\n",
        )
        .start();
    let client = cluster.client("postgres").await;
    let sql = format!(
        "SET password_encryption = 'scram-sha-256'; \
         CREATE ROLE scram_role LOGIN PASSWORD '{PASSWORD}'; \
         CREATE ROLE clear_role LOGIN PASSWORD '{PASSWORD}'; \
         SET password_encryption = 'md5'; \
         CREATE ROLE md5_role LOGIN PASSWORD '{PASSWORD}'"
    );
    client.batch_execute(&sql).await.expect("roles");
    cluster
}

#[tokio::test]
async fn each_password_method_lets_in_who_knows_the_password_and_nobody_else() {
    let cluster = server_with_passwords().await;
    for role in ["scram_role", "md5_role", "clear_role"] {
        let text = format!(
            "host=127.0.0.1 port={} user={role} dbname=postgres sslmode=disable",
            cluster.port()
        );
        let right = conninfo(&text).with_password(PASSWORD);
        let mut session = connect(&right).await;
        assert_eq!(value(&mut session, "SELECT current_user::text").await, role);
        session.close().await;

        let wrong = refusal(&right.with_password("hunter2")).await;
        assert_eq!(
            wrong.sqlstate(),
            Some(&SqlState::INVALID_PASSWORD),
            "{wrong}"
        );
        assert!(!wrong.may_retry());
        let shown = format!("{wrong} {wrong:?}");
        assert!(!shown.contains("hunter2"), "{shown}");

        let none = refusal(&conninfo(&text)).await;
        assert!(
            matches!(&none, PgError::Auth(text) if text.contains("PGPASSWORD")),
            "{none}"
        );
        assert!(!none.may_retry());
    }
}

#[tokio::test]
async fn require_auth_refuses_a_method_before_the_password_is_sent() {
    let cluster = server_with_passwords().await;
    let base = |role: &str, methods: &str| {
        let text = format!(
            "host=127.0.0.1 port={} user={role} dbname=postgres sslmode=disable \
             require_auth={methods}",
            cluster.port()
        );
        conninfo(&text).with_password(PASSWORD)
    };
    connect(&base("scram_role", "scram-sha-256"))
        .await
        .close()
        .await;
    connect(&base("scram_role", "!password,!md5"))
        .await
        .close()
        .await;
    for (role, methods) in [
        ("clear_role", "scram-sha-256"),
        ("md5_role", "!md5"),
        ("postgres", "scram-sha-256"),
    ] {
        let error = refusal(&base(role, methods)).await;
        assert!(
            matches!(error, PgError::Auth(_)),
            "{role} {methods}: {error}"
        );
    }
}

#[tokio::test]
async fn a_unix_socket_is_reached_by_its_directory_and_trusted() {
    let mut cluster = server_with_passwords().await;
    let directory = cluster.server().socket_dir().display().to_string();
    let port = cluster.port();
    let settings = conninfo(&format!(
        "host={directory} port={port} user=scram_role dbname=postgres sslmode=verify-full"
    ));
    assert_eq!(settings.label(), format!("{directory}:{port}/postgres"));
    let mut session = connect(&settings).await;
    let local = value(&mut session, "SELECT (inet_client_addr() IS NULL)::text").await;
    assert_eq!(local, "true");
    assert_eq!(session.version().major(), cluster.major());
    assert!(session.version() > ServerVersion(120_000));

    let peer = conninfo(&format!(
        "{} requirepeer=nobody-at-all",
        settings.without_password()
    ));
    let error = refusal(&peer).await;
    assert!(matches!(error, PgError::Auth(_)), "{error}");

    let elsewhere = conninfo(&format!("host={directory}/none port={port}"));
    let error = refusal(&elsewhere).await;
    assert!(
        matches!(error, PgError::Connect { .. }) && error.may_retry(),
        "{error}"
    );
}

#[tokio::test]
async fn what_a_server_refuses_at_the_door_is_its_own_error() {
    let cluster = Cluster::start_any();
    let missing = conninfo(&cluster.uri("nowhere"));
    let error = refusal(&missing).await;
    assert_eq!(
        error.sqlstate(),
        Some(&SqlState::INVALID_CATALOG_NAME),
        "{error}"
    );
    let role = conninfo(&format!("{}?user=nobody", cluster.uri("postgres")));
    let error = refusal(&role).await;
    assert_eq!(
        error.sqlstate(),
        Some(&SqlState::INVALID_AUTHORIZATION),
        "{error}"
    );
    let options = conninfo(&format!(
        "{}?options=-c%20nonsense%3D1",
        cluster.uri("postgres")
    ));
    assert!(!refusal(&options).await.may_retry());
}

#[tokio::test]
async fn start_up_parameters_reach_the_session() {
    let cluster = Cluster::start_any();
    let settings = conninfo(&format!(
        "{}?options=-c%20geqo%3Doff",
        cluster.uri("postgres")
    ));
    let mut session = connect(&settings).await;
    assert_eq!(value(&mut session, "SHOW geqo").await, "off");
    assert_eq!(value(&mut session, "SHOW client_encoding").await, "UTF8");
    assert_eq!(
        value(&mut session, "SHOW application_name").await,
        "trunkline test"
    );
}

#[tokio::test]
async fn a_host_that_refuses_or_does_not_exist_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let error = refusal(&conninfo(&format!("host=127.0.0.1 port={port}"))).await;
    let text = error.to_string();
    assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");
    assert!(error.may_retry(), "{text}");

    let error = refusal(&conninfo("host=no-such-host.invalid")).await;
    assert!(matches!(error, PgError::Connect { .. }), "{error}");
    assert!(
        error.to_string().contains("no-such-host.invalid:5432"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_after_connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let begun = Instant::now();
    let error = refusal(&conninfo(&format!(
        "host=127.0.0.1 port={port} connect_timeout=1"
    )))
    .await;
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(error.to_string().contains("connect_timeout"), "{error}");
    assert!(error.may_retry());
}

#[tokio::test]
async fn the_search_goes_on_past_a_dead_host_but_not_past_a_refusal() {
    let cluster = Cluster::start_any();
    let port = cluster.port();
    let dead = "127.0.0.1:1";
    let two = conninfo(&format!(
        "postgres://postgres@{dead},127.0.0.1:{port}/postgres"
    ));
    connect(&two).await.close().await;
    let refused = conninfo(&format!(
        "postgres://nobody@127.0.0.1:{port},{dead}/postgres"
    ));
    let error = refusal(&refused).await;
    assert_eq!(
        error.sqlstate(),
        Some(&SqlState::INVALID_AUTHORIZATION),
        "{error}"
    );
}

#[tokio::test]
async fn target_session_attrs_finds_the_server_of_the_wanted_kind() {
    let primary = Cluster::start_any();
    // A server that waits for WAL from nowhere is a standby too.
    let mut standby = Cluster::builder(primary.major()).prepare();
    let written = standby.server().write_file("standby.signal", "");
    written.expect("a writable data folder");
    standby.start_again();
    let hosts = |first: &Cluster, second: &Cluster, wanted: &str| {
        let (first, second) = (first.port(), second.port());
        conninfo(&format!(
            "host=127.0.0.1,127.0.0.1 port={first},{second} user=postgres dbname=postgres \
             sslmode=disable target_session_attrs={wanted}"
        ))
    };
    for (wanted, expected) in [
        ("any", standby.port()),
        ("read-write", primary.port()),
        ("primary", primary.port()),
        ("read-only", standby.port()),
        ("standby", standby.port()),
        ("prefer-standby", standby.port()),
    ] {
        for settings in [
            hosts(&standby, &primary, wanted),
            hosts(&primary, &standby, wanted),
        ] {
            let mut session = connect(&settings).await;
            let port = value(&mut session, "SELECT inet_server_port()::text").await;
            if wanted != "any" {
                assert_eq!(port, expected.to_string(), "{wanted}");
            }
        }
    }
    connect(&hosts(&primary, &primary, "prefer-standby"))
        .await
        .close()
        .await;
    let error = refusal(&hosts(&primary, &primary, "standby")).await;
    assert!(
        matches!(error, PgError::SessionAttributes { .. }),
        "{error}"
    );
    assert!(error.may_retry());
}
