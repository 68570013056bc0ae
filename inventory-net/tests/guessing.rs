//! Guessing passwords: it becomes slow, for whoever guesses, and nobody is kept out for long.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Running, options, serve};
use futures_util::future::join_all;
use inventory_core::Refusal;
use inventory_core::journal::MemoryJournal;
use inventory_net::client::{Client, ClientError, ClientOptions};
use inventory_net::message::Unavailable;
use tokio::time::advance;

async fn serve_at(address: &str) -> Running {
    serve(address, Arc::new(MemoryJournal::new()), options()).await
}

async fn client(server: &Running) -> Client {
    Client::connect(&server.address, ClientOptions::default()).await.unwrap()
}

/// What a login of its own connection is answered: `done`, or the name of what it is instead.
async fn says(server: &Running, user: &str, password: &str) -> &'static str {
    match client(server).await.log_in(user, password).await {
        Ok(_) => "done",
        Err(ClientError::Refused(Refusal::BadCredentials)) => "bad_credentials",
        Err(ClientError::Unavailable(Unavailable::TooManyAttempts)) => "too_many_attempts",
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn after_five_wrong_passwords_the_right_one_waits_a_moment_too_also_for_nobody() {
    let server = serve_at("memory://five").await;
    for user in ["bob", "nobody"] {
        for _ in 0..5 {
            assert_eq!(says(&server, user, "wrong").await, "bad_credentials");
        }
        for password in ["wrong", "bob-secret"] {
            assert_eq!(says(&server, user, password).await, "too_many_attempts");
        }
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(says(&server, "bob", "bob-secret").await, "done");
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_kept_out_for_longer_than_half_a_minute_however_long_it_was_tried() {
    let server = serve_at("memory://stubborn").await;
    let mut looked_at = 0;
    for _ in 0..1_000 {
        if says(&server, "bob", "wrong").await == "bad_credentials" {
            looked_at += 1;
        }
        advance(Duration::from_secs(1)).await;
    }
    assert!((30..60).contains(&looked_at), "{looked_at} guesses in 1000 seconds");
    advance(Duration::from_secs(30)).await;
    assert_eq!(says(&server, "bob", "bob-secret").await, "done");
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_was_there_before_goes_on_while_others_guess() {
    let server = serve_at("memory://neighbours").await;
    let alice = client(&server).await;
    let session = alice.log_in("alice", "alice-secret").await.unwrap();
    for number in 0..20 {
        assert_eq!(says(&server, &format!("user-{number}"), "wrong").await, "bad_credentials");
    }
    assert_eq!(says(&server, "bob", "bob-secret").await, "too_many_attempts");
    assert_eq!(says(&server, "alice", "alice-secret").await, "done");
    assert_eq!(&*alice.who_am_i().await.unwrap().user, "alice");
    client(&server).await.resume(&session.token).await.unwrap();
    advance(Duration::from_secs(1)).await;
    assert_eq!(says(&server, "bob", "bob-secret").await, "done");
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_whoever_resumes_a_session_is_known_again() {
    let journal = Arc::new(MemoryJournal::new());
    let server = serve("memory://before", journal.clone(), options()).await;
    let token = client(&server).await.log_in("alice", "alice-secret").await.unwrap().token;
    server.stop().await;
    let server = serve("memory://after", journal, options()).await;
    client(&server).await.resume(&token).await.unwrap();
    for number in 0..20 {
        assert_eq!(says(&server, &format!("user-{number}"), "wrong").await, "bad_credentials");
    }
    assert_eq!(says(&server, "alice", "alice-secret").await, "done");
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn guessing_through_many_connections_at_once_gains_next_to_nothing() {
    let server = serve_at("memory://at-once").await;
    let answers = join_all((0..60).map(|_| says(&server, "bob", "wrong"))).await;
    let looked_at = answers.iter().filter(|answer| **answer == "bad_credentials").count();
    // Two are worked on at the same time, and one of them may be one too many.
    assert!((5..=6).contains(&looked_at), "{looked_at}");
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn logging_in_with_the_right_password_is_never_slowed_down() {
    let server = serve_at("memory://right").await;
    let answers = join_all((0..60).map(|_| says(&server, "bob", "bob-secret"))).await;
    assert!(answers.iter().all(|answer| *answer == "done"), "{answers:?}");
    server.stop().await;
}
