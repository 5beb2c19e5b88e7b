//! A real HAProxy between clients and two real servers.

mod scene;

use scene::{DEADLINE, Sides, side_behind, side_of};
use trunkline_changes::Side;
use trunkline_migration::traffic::Traffic;
use trunkline_testkit::front::Haproxy as Proxy;
use trunkline_testkit::{skip_unless_installed, until};
use trunkline_traffic::{Haproxy, HaproxyPlan, RuntimeSocket};

fn adapter(sides: &Sides, proxy: &Proxy, server: &str) -> Haproxy {
    let plan = HaproxyPlan {
        socket: RuntimeSocket::Unix(proxy.socket()),
        servers: vec![server.to_owned()],
        addresses: sides.addresses(),
    };
    Haproxy::new(plan).expect("they are numbers")
}

#[tokio::test(flavor = "multi_thread")]
async fn new_connections_go_to_the_target_and_old_ones_are_ended() {
    skip_unless_installed!("haproxy");
    let sides = Sides::start().await;
    let proxy = Proxy::start(sides.source.port(), "admin");
    let traffic = adapter(&sides, &proxy, "pg/db");
    traffic
        .look(Side::Source, DEADLINE)
        .await
        .expect("all is well");
    let old = trunkline_testkit::connect(&proxy.uri("orders")).await;
    assert_eq!(side_of(&old).await.expect("it is served"), "source");
    traffic
        .hold(Side::Source, DEADLINE)
        .await
        .expect("nobody is held");
    assert!(traffic.describe().contains("holds nobody"));

    for _ in 0..2 {
        traffic
            .point_at(Side::Target, DEADLINE)
            .await
            .expect("it has that server");
        traffic
            .release(Side::Target, DEADLINE)
            .await
            .expect("nobody was held");
        traffic
            .verify(Side::Target, DEADLINE)
            .await
            .expect("it was read back");
    }
    assert_eq!(
        side_behind(&proxy.uri("orders")).await.as_deref(),
        Some("target")
    );
    until(DEADLINE, async || old.is_closed()).await;

    let error = traffic
        .look(Side::Source, DEADLINE)
        .await
        .expect_err("not the source");
    assert!(error.why.contains("not to the source"), "{error}");
    traffic
        .point_at(Side::Source, DEADLINE)
        .await
        .expect("and back");
    assert_eq!(
        side_behind(&proxy.uri("orders")).await.as_deref(),
        Some("source")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_or_server_that_cannot_do_it_is_found_before_the_pause() {
    skip_unless_installed!("haproxy");
    let sides = Sides::start().await;
    let proxy = Proxy::start(sides.source.port(), "operator");
    let looked = adapter(&sides, &proxy, "pg/db")
        .look(Side::Source, DEADLINE)
        .await;
    let error = looked.expect_err("an operator may not set addresses");
    assert!(error.why.contains("level admin"), "{error}");
    for server in ["pg/none", "none/db"] {
        let looked = adapter(&sides, &proxy, server)
            .look(Side::Source, DEADLINE)
            .await;
        let error = looked.expect_err("there is none");
        assert!(
            error.why.contains(&format!("no server {server}")),
            "{error}"
        );
    }
    let pointed = adapter(&sides, &proxy, "pg/db")
        .point_at(Side::Target, DEADLINE)
        .await;
    let error = pointed.expect_err("it is not allowed");
    assert!(
        error.why.to_lowercase().contains("permission denied"),
        "{error}"
    );
}
