//! A real Envoy between clients and two real servers.

mod scene;

use std::fs;

use scene::{DEADLINE, Sides, side_behind, side_of};
use trunkline_changes::Side;
use trunkline_migration::traffic::Traffic;
use trunkline_testkit::front::Envoy as Proxy;
use trunkline_testkit::{skip_unless_installed, until};
use trunkline_traffic::{Envoy, EnvoyPlan};

fn adapter(sides: &Sides, proxy: &Proxy) -> Envoy {
    let plan = EnvoyPlan {
        admin: proxy.admin(),
        cluster: "pg".to_owned(),
        endpoints: proxy.endpoints(),
        listeners: Some(proxy.listeners()),
        addresses: sides.addresses(),
    };
    Envoy::new(plan).expect("they are numbers")
}

#[tokio::test(flavor = "multi_thread")]
async fn new_connections_go_to_the_target_and_old_ones_are_drained() {
    skip_unless_installed!("envoy");
    let sides = Sides::start().await;
    let proxy = Proxy::start(sides.source.port());
    let traffic = adapter(&sides, &proxy);
    traffic
        .look(Side::Source, DEADLINE)
        .await
        .expect("all is well");
    let old = trunkline_testkit::connect(&proxy.uri("orders")).await;
    assert_eq!(side_of(&old).await.expect("it is served"), "source");
    assert!(traffic.describe().contains("holds nobody"));

    for _ in 0..2 {
        traffic
            .point_at(Side::Target, DEADLINE)
            .await
            .expect("it takes both files up");
        traffic
            .release(Side::Target, DEADLINE)
            .await
            .expect("nobody was held");
        traffic
            .verify(Side::Target, DEADLINE)
            .await
            .expect("it was read back");
        traffic
            .look(Side::Target, DEADLINE)
            .await
            .expect("it serves the target");
    }
    until(DEADLINE, async || {
        side_behind(&proxy.uri("orders")).await.as_deref() == Some("target")
    })
    .await;
    until(DEADLINE, async || old.is_closed()).await;

    let error = traffic
        .look(Side::Source, DEADLINE)
        .await
        .expect_err("not the source");
    assert!(error.why.contains("not at the source"), "{error}");
    traffic
        .point_at(Side::Source, DEADLINE)
        .await
        .expect("and back");
    until(DEADLINE, async || {
        side_behind(&proxy.uri("orders")).await.as_deref() == Some("source")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_envoy_refuses_is_told_and_put_back() {
    skip_unless_installed!("envoy");
    let sides = Sides::start().await;
    let proxy = Proxy::start(sides.source.port());
    let traffic = adapter(&sides, &proxy);
    // Written in place, so that Envoy sees it only with our own rename.
    let good = fs::read_to_string(proxy.listeners()).expect("it is there");
    let bad = good.replace(
        "envoy.filters.network.tcp_proxy\", \"typed_config\"",
        "envoy.filters.network.tcp_proxy\", \"no_such_field\"",
    );
    assert_ne!(good, bad);
    fs::write(proxy.listeners(), &bad).expect("it can be written");
    let error = traffic
        .point_at(Side::Target, DEADLINE)
        .await
        .expect_err("it is refused");
    assert!(
        error.why.contains("refused") && error.why.contains("lds"),
        "{error}"
    );
    let left = fs::read_to_string(proxy.listeners()).expect("it is there");
    assert_eq!(left, bad, "the file is as it was found");
    // The listener that Envoy had goes on.
    assert_eq!(
        side_behind(&proxy.uri("orders")).await.as_deref(),
        Some("target")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_envoy_does_not_take_from_that_file_is_found_before_the_pause() {
    skip_unless_installed!("envoy");
    let sides = Sides::start().await;
    let proxy = Proxy::start(sides.source.port());
    let plan = |cluster: &str, addresses| EnvoyPlan {
        admin: proxy.admin(),
        cluster: cluster.to_owned(),
        endpoints: proxy.endpoints(),
        listeners: None,
        addresses,
    };
    let other = Envoy::new(plan("other", sides.addresses())).expect("they are numbers");
    let error = other
        .look(Side::Source, DEADLINE)
        .await
        .expect_err("no such cluster");
    assert!(error.why.contains("\"other\" has 0 endpoints"), "{error}");
    let mut named = sides.addresses();
    named.target.host = "new.example".to_owned();
    let error = Envoy::new(plan("pg", named)).expect_err("it is a name");
    assert!(error.to_string().contains("target"), "{error}");
}
