//! The datagrams that reach a socket without consent, counted by a plain UDP socket.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::time::Duration;

use common::host::{Sink, challenge_request};
use common::page::{Got, Page, WebSocket, WebTransport};
use common::{gateway, until};
use torque_gateway::wire::control::ToPage;
use torque_gateway::{Direction, DropReason};
use torque_proto::wire::{parse_probe, probe_echo};

const PACKET: &[u8] = &[0x80; 200];

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_never_echoes_gets_a_few_greetings_and_probes_only() {
    for kind in [WebTransport, WebSocket] {
        let sink = Sink::start();
        let gateway = gateway(&sink.address.to_string()).await;
        let mut page = Page::open(&gateway, kind).await;
        let context = page.context_of(sink.address).await;
        let start = std::time::Instant::now();
        for _ in 0..200 {
            page.datagram(context, PACKET).await;
            page.datagram(context, &challenge_request()).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let dropped = || gateway.metrics().dropped_for(Direction::ToRemote, DropReason::Consent);
        until(|| dropped() >= 300).await;
        let seconds = start.elapsed().as_secs() as usize + 1;
        let got = sink.take();
        let (probes, greetings): (Vec<_>, Vec<_>) =
            got.iter().partition(|datagram| parse_probe(datagram).is_ok());
        assert!((1..=4 * seconds + 1).contains(&probes.len()), "{} probes in {seconds} s", probes.len());
        assert!(
            (4..=4 * seconds + 4).contains(&greetings.len()),
            "{} greetings in {seconds} s",
            greetings.len()
        );
        assert!(greetings.iter().all(|datagram| **datagram == challenge_request()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_opens_the_way_and_info_packets_never_pass() {
    for kind in [WebTransport, WebSocket] {
        let sink = Sink::start();
        let gateway = gateway(&sink.address.to_string()).await;
        let mut page = Page::open(&gateway, kind).await;
        let context = page.context_of(sink.address).await;
        page.datagram(context, PACKET).await;
        let mut got = Vec::new();
        until(|| {
            got.extend(sink.take());
            !got.is_empty()
        })
        .await;
        let nonce = parse_probe(&got[0]).unwrap();
        // Somebody else's echo, and a wrong one, open nothing.
        Sink::start().send(&probe_echo(nonce), page.address);
        sink.send(&probe_echo([1; 16]), page.address);
        page.datagram(context, PACKET).await;
        until(|| gateway.metrics().dropped_for(Direction::ToRemote, DropReason::Consent) == 2).await;

        sink.send(&probe_echo(nonce), page.address);
        until(|| gateway.metrics().text().contains("torque_gateway_consents_total 1")).await;
        page.datagram(context, b" what are you?").await;
        page.datagram(context, PACKET).await;
        let mut passed = Vec::new();
        until(|| {
            passed.extend(sink.take().into_iter().filter(|datagram| parse_probe(datagram).is_err()));
            !passed.is_empty()
        })
        .await;
        assert_eq!(passed, [PACKET]);

        sink.send(b" info", page.address);
        sink.send(PACKET, page.address);
        assert_eq!(page.next().await, Got::Datagram(context, PACKET.to_vec()));
        assert_eq!(
            gateway.metrics().dropped_for(Direction::ToPage, DropReason::Form),
            3,
            "two echoes and an info packet"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_that_writes_first_is_named_before_its_datagram() {
    for kind in [WebTransport, WebSocket] {
        let gateway = gateway("").await;
        let mut page = Page::open(&gateway, kind).await;
        let sink = Sink::start();
        sink.send(&challenge_request(), page.address);
        let named = Got::Control(ToPage::Context { context: 1, address: sink.address });
        let datagram = Got::Datagram(1, challenge_request());
        // Over WebTransport the datagram may overtake the message.
        let got = [page.next().await, page.next().await];
        assert!(got.contains(&named) && got.contains(&datagram), "{got:?}");
        page.datagram(1, &[&[0x02][..], &[0; 400]].concat()).await;
        let mut answers = Vec::new();
        until(|| {
            answers.extend(sink.take().into_iter().filter(|datagram| datagram[0] == 0x02));
            answers.len() == 1
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_of_every_length_pass_unchanged_over_both_carriers() {
    for kind in [WebTransport, WebSocket] {
        let sink = Sink::start();
        let gateway = gateway(&sink.address.to_string()).await;
        let mut page = Page::open(&gateway, kind).await;
        let context = page.context_of(sink.address).await;
        page.datagram(context, PACKET).await;
        let mut got = Vec::new();
        until(|| {
            got.extend(sink.take());
            !got.is_empty()
        })
        .await;
        sink.send(&probe_echo(parse_probe(&got[0]).unwrap()), page.address);
        until(|| gateway.metrics().text().contains("torque_gateway_consents_total 1")).await;
        // The largest packet with the default settings has 1,150 bytes, 5 of header, 6 of acks and a tag of 16.
        for length in [7, 63, 64, 768, 1_169, 1_177] {
            let datagram: Vec<u8> = (0..length).map(|index| 0x80 | index as u8).collect();
            sink.send(&datagram, page.address);
            assert_eq!(page.next().await, Got::Datagram(context, datagram.clone()), "{length} bytes");
            page.datagram(context, &datagram).await;
            let mut got = Vec::new();
            until(|| {
                got.extend(sink.take().into_iter().filter(|datagram| parse_probe(datagram).is_err()));
                !got.is_empty()
            })
            .await;
            assert_eq!(got, [datagram], "{length} bytes");
        }
    }
}
