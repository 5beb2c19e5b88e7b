//! TLS against real servers: each `sslmode`, names, client certificates, channel binding.

mod authority;

use std::os::unix::fs::PermissionsExt;

use authority::{Authority, Identity, Version};
use trunkline_postgres::{Conninfo, Environment, PgError, Session, SqlState};
use trunkline_testkit::{Cluster, any_major};

const HBA: &str = "host all postgres 127.0.0.1/32 trust\n\
                   hostssl all only_tls 127.0.0.1/32 trust\n\
                   hostnossl all only_plain 127.0.0.1/32 trust\n\
                   hostssl all with_certificate 127.0.0.1/32 cert\n\
                   host all scram_role 127.0.0.1/32 scram-sha-256\n\
                   host all md5_role 127.0.0.1/32 md5\n\
                   local all all trust\n";

const ROLES: &str = "CREATE ROLE only_tls LOGIN; CREATE ROLE only_plain LOGIN; \
                     CREATE ROLE with_certificate LOGIN; \
                     SET password_encryption = 'scram-sha-256'; \
                     CREATE ROLE scram_role LOGIN PASSWORD 'secret'; \
                     SET password_encryption = 'md5'; \
                     CREATE ROLE md5_role LOGIN PASSWORD 'secret'";

/// A server that offers TLS with this certificate and trusts clients of the authority.
async fn server(authority: &Authority, identity: &Identity) -> Cluster {
    let mut cluster = Cluster::builder(any_major())
        .hba(HBA)
        .setting("ssl", "on")
        .setting("ssl_ca_file", "root.crt")
        .prepare();
    let (key, certificate) = identity.texts();
    let root = std::fs::read_to_string(authority.root()).expect("a root certificate");
    for (name, text) in [
        ("server.key", &key),
        ("server.crt", &certificate),
        ("root.crt", &root),
    ] {
        cluster.server().write_file(name, text).expect(name);
    }
    cluster.start_again();
    let client = cluster.client("postgres").await;
    client.batch_execute(ROLES).await.expect("roles");
    cluster
}

fn conninfo(cluster: &Cluster, text: &str) -> Conninfo {
    let text = format!("dbname=postgres port={} {text}", cluster.port());
    let environment = Environment::empty().with_os_user("postgres");
    Conninfo::resolve_with(&text, &environment).expect(&text)
}

/// Whether the connection is encrypted, or why there is none.
async fn encrypted(conninfo: &Conninfo) -> Result<bool, PgError> {
    let mut session = Session::connect(conninfo, "test").await?;
    let sql = "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let row = session.query_one(sql, &[]).await?;
    let ssl: String = row.get(0)?;
    Ok(ssl == "true")
}

async fn assert_encrypted(cluster: &Cluster, text: &str, expected: bool) {
    match encrypted(&conninfo(cluster, text)).await {
        Ok(found) => assert_eq!(found, expected, "{text}"),
        Err(error) => panic!("{text}: {error}"),
    }
}

async fn assert_tls_refusal(cluster: &Cluster, text: &str) {
    match encrypted(&conninfo(cluster, text)).await {
        Ok(_) => panic!("{text}: connected"),
        Err(error @ PgError::Tls(_)) => assert!(!error.may_retry(), "{error}"),
        Err(error) => panic!("{text}: {error}"),
    }
}

#[tokio::test]
async fn each_sslmode_encrypts_and_verifies_what_it_says() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let identity = authority.issue("localhost", Some("DNS:localhost"), Version::V3, &[], &[]);
    let cluster = server(&authority, &identity).await;
    let root = format!("sslrootcert={}", authority.root().display());
    let other = format!("sslrootcert={}", stranger.root().display());
    let (name, address) = ("host=localhost", "host=127.0.0.1");

    assert_encrypted(&cluster, &format!("{name} sslmode=disable"), false).await;
    assert_encrypted(&cluster, &format!("{name} sslmode=allow"), false).await;
    assert_encrypted(&cluster, &format!("{name} sslmode=prefer"), true).await;
    assert_encrypted(&cluster, &format!("{name} sslmode=require"), true).await;
    assert_encrypted(&cluster, &format!("{name} sslmode=verify-ca {root}"), true).await;
    assert_encrypted(
        &cluster,
        &format!("{name} sslmode=verify-full {root}"),
        true,
    )
    .await;
    // The address is not in the certificate: only verify-full minds.
    assert_encrypted(&cluster, &format!("{address} sslmode=require {root}"), true).await;
    assert_encrypted(
        &cluster,
        &format!("{address} sslmode=verify-ca {root}"),
        true,
    )
    .await;
    assert_tls_refusal(&cluster, &format!("{address} sslmode=verify-full {root}")).await;
    let aside = "host=localhost hostaddr=127.0.0.1";
    assert_encrypted(
        &cluster,
        &format!("{aside} sslmode=verify-full {root}"),
        true,
    )
    .await;
    // A stranger's root certificate: require verifies too, as soon as it has one.
    for mode in ["require", "verify-ca", "verify-full"] {
        assert_tls_refusal(&cluster, &format!("{name} sslmode={mode} {other}")).await;
    }
    assert_encrypted(&cluster, &format!("{name} sslmode=prefer {other}"), false).await;
    for mode in ["verify-ca", "verify-full"] {
        let error = encrypted(&conninfo(&cluster, &format!("{name} sslmode={mode}"))).await;
        assert!(
            matches!(error, Err(PgError::Config(_))),
            "{mode} without roots: {error:?}"
        );
    }
    for versions in [
        "ssl_max_protocol_version=TLSv1.2",
        "ssl_min_protocol_version=TLSv1.3",
    ] {
        let text = format!("{name} sslmode=verify-full {root} {versions}");
        assert_encrypted(&cluster, &text, true).await;
    }
}

#[tokio::test]
async fn allow_and_prefer_fall_back_to_what_the_server_lets_in() {
    let authority = Authority::new();
    let identity = authority.issue("localhost", None, Version::V3, &[], &[]);
    let cluster = server(&authority, &identity).await;
    for (role, mode, expected) in [
        ("only_tls", "allow", true),
        ("only_tls", "prefer", true),
        ("only_plain", "allow", false),
        ("only_plain", "prefer", false),
    ] {
        let text = format!("host=127.0.0.1 user={role} sslmode={mode}");
        assert_encrypted(&cluster, &text, expected).await;
    }
    for (role, mode) in [("only_tls", "disable"), ("only_plain", "require")] {
        let text = format!("host=127.0.0.1 user={role} sslmode={mode}");
        let refused = encrypted(&conninfo(&cluster, &text)).await;
        assert!(
            matches!(refused, Err(PgError::Server(_))),
            "{text}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn a_server_without_tls_serves_prefer_and_not_require() {
    let cluster = Cluster::start_any();
    assert_encrypted(&cluster, "host=127.0.0.1 sslmode=prefer", false).await;
    assert_encrypted(&cluster, "host=127.0.0.1 sslmode=allow", false).await;
    assert_tls_refusal(&cluster, "host=127.0.0.1 sslmode=require").await;
}

#[tokio::test]
async fn tls_without_asking_first_needs_a_server_that_knows_it() {
    let authority = Authority::new();
    let identity = authority.issue("localhost", None, Version::V3, &[], &[]);
    let cluster = server(&authority, &identity).await;
    let text = "host=localhost sslmode=require sslnegotiation=direct";
    if cluster.major() >= 17 {
        assert_encrypted(&cluster, text, true).await;
    } else {
        assert!(encrypted(&conninfo(&cluster, text)).await.is_err());
    }
}

#[tokio::test]
async fn certificates_without_alternative_names_are_matched_by_their_common_name() {
    let authority = Authority::new();
    let root = format!(
        "sslmode=verify-full sslrootcert={}",
        authority.root().display()
    );
    let by_name = authority.issue("localhost", None, Version::V3, &[], &[]);
    let cluster = server(&authority, &by_name).await;
    assert_encrypted(&cluster, &format!("host=localhost {root}"), true).await;
    assert_tls_refusal(&cluster, &format!("host=127.0.0.1 {root}")).await;

    let by_address = authority.issue("other", Some("IP:127.0.0.1"), Version::V3, &[], &[]);
    let cluster = server(&authority, &by_address).await;
    assert_encrypted(&cluster, &format!("host=127.0.0.1 {root}"), true).await;
    assert_tls_refusal(&cluster, &format!("host=localhost {root}")).await;
}

#[tokio::test]
async fn a_certificate_as_the_manual_makes_it_is_its_own_root() {
    let authority = Authority::new();
    let identity = authority.self_signed("localhost");
    let cluster = server(&authority, &identity).await;
    let root = format!(
        "sslmode=verify-full sslrootcert={}",
        identity.certificate.display()
    );
    assert_encrypted(&cluster, &format!("host=localhost {root}"), true).await;
    assert_tls_refusal(&cluster, &format!("host=127.0.0.1 {root}")).await;
}

#[tokio::test]
async fn a_certificate_of_version_1_encrypts_where_nothing_is_verified() {
    let authority = Authority::new();
    let identity = authority.issue("localhost", None, Version::V1, &[], &[]);
    let cluster = server(&authority, &identity).await;
    for versions in [
        "ssl_max_protocol_version=TLSv1.2",
        "ssl_min_protocol_version=TLSv1.3",
    ] {
        let text = format!("host=localhost sslmode=require {versions}");
        assert_encrypted(&cluster, &text, true).await;
    }
}

#[tokio::test]
async fn a_client_certificate_lets_its_role_in() {
    let authority = Authority::new();
    let identity = authority.issue("localhost", None, Version::V3, &[], &[]);
    let cluster = server(&authority, &identity).await;
    let client = authority.issue("with_certificate", None, Version::V3, &[], &[]);
    let text = format!(
        "host=localhost user=with_certificate sslmode=verify-full sslrootcert={} sslcert={} \
         sslkey={}",
        authority.root().display(),
        client.certificate.display(),
        client.key.display()
    );
    assert_encrypted(&cluster, &text, true).await;
    for without in ["", " sslcertmode=disable"] {
        let text = match without {
            "" => "host=localhost user=with_certificate sslmode=require".to_owned(),
            disabled => format!("{text}{disabled}"),
        };
        let refused = encrypted(&conninfo(&cluster, &text)).await;
        assert!(
            matches!(refused, Err(PgError::Server(_))),
            "{text}: {refused:?}"
        );
    }
    let open_key = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&client.key, open_key).expect("own file");
    let refused = encrypted(&conninfo(&cluster, &text)).await;
    assert!(matches!(refused, Err(PgError::Config(_))), "{refused:?}");
}

#[tokio::test]
async fn an_encrypted_key_is_refused_with_what_to_do() {
    let authority = Authority::new();
    let identity = authority.issue("localhost", None, Version::V3, &[], &[]);
    let cluster = server(&authority, &identity).await;
    let mark = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    std::fs::write(&identity.key, mark).expect("own file");
    let text = format!(
        "host=localhost sslmode=require sslcert={} sslkey={}",
        identity.certificate.display(),
        identity.key.display()
    );
    let error = encrypted(&conninfo(&cluster, &text))
        .await
        .expect_err("an encrypted key");
    assert!(error.to_string().contains("openssl pkey"), "{error}");
}

#[tokio::test]
async fn scram_is_bound_to_the_channel_whatever_signs_the_certificate() {
    let p384: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"];
    let signatures: [(&[&str], &[&str]); 3] = [
        (&[], &["-sha256"]),
        (&[], &["-sha512"]),
        (p384, &["-sha384"]),
    ];
    for (key, signature) in signatures {
        let authority = Authority::new();
        let identity = authority.issue(
            "localhost",
            Some("DNS:localhost"),
            Version::V3,
            key,
            signature,
        );
        let cluster = server(&authority, &identity).await;
        let base = "host=localhost user=scram_role password=secret";
        let bound = format!("{base} sslmode=require channel_binding=require");
        assert_encrypted(&cluster, &bound, true).await;
        for binding in ["prefer", "disable"] {
            let text = format!("{base} sslmode=require channel_binding={binding}");
            assert_encrypted(&cluster, &text, true).await;
        }
        for text in [
            format!("{base} sslmode=disable channel_binding=require"),
            "host=localhost user=md5_role password=secret sslmode=require channel_binding=require"
                .to_owned(),
            "host=localhost user=postgres sslmode=require channel_binding=require".to_owned(),
        ] {
            let refused = encrypted(&conninfo(&cluster, &text)).await;
            assert!(
                matches!(refused, Err(PgError::Auth(_))),
                "{text}: {refused:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_query_is_cancelled_over_tls() {
    let authority = Authority::new();
    let identity = authority.issue("localhost", Some("DNS:localhost"), Version::V3, &[], &[]);
    let cluster = server(&authority, &identity).await;
    let settings = conninfo(&cluster, "host=localhost user=only_tls sslmode=require");
    let mut session = match Session::connect(&settings, "test").await {
        Ok(session) => session,
        Err(error) => panic!("{error}"),
    };
    let handle = session.canceller();
    let observer = cluster.client("postgres").await;
    let process = session.process_id();
    let cancel = async {
        trunkline_testkit::until(std::time::Duration::from_secs(30), async || {
            let sql = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'";
            let rows = observer.query(sql, &[&process]).await.expect("activity");
            !rows.is_empty()
        })
        .await;
        handle.cancel().await
    };
    let (ended, cancelled) = tokio::join!(session.query("SELECT pg_sleep(60)", &[]), cancel);
    let error = ended.err().expect("cancelled");
    assert_eq!(error.sqlstate(), Some(&SqlState::QUERY_CANCELED), "{error}");
    assert!(cancelled.is_ok(), "{cancelled:?}");
}
