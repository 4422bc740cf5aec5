//! Tests of recordings: what is written can be played, and a damaged file is refused with the line number.

use std::io::BufReader;
use std::sync::Arc;

use super::kit::{DEMO, samples};
use crate::model::Modeler;
use crate::recording::{Player, Recorder};
use crate::sample::{Bytes, Ended, Passing};
use netstat_model::Fact;
use netstat_model::metrics::ProcessKey;
use proptest::prelude::*;

#[test]
fn recording_written_is_played_back_the_same() {
    let samples = samples();
    assert!(samples.len() > 30, "{}", samples.len());
    let mut file = Vec::new();
    let mut recorder = Recorder::new(&mut file, b"harbor").unwrap();
    for sample in &samples {
        recorder.write(sample).unwrap();
    }
    let mut player = Player::new(BufReader::new(file.as_slice())).unwrap();
    assert_eq!(player.computer(), "harbor");
    for sample in &samples {
        assert_eq!(player.next_sample().unwrap().as_ref(), Some(sample));
    }
    assert!(player.next_sample().unwrap().is_none());
    // Only changes are written after the first sample.
    let first = file.split(|&byte| byte == b'\n').nth(1).unwrap().len();
    assert!(file.len() < first * samples.len() / 2, "{} and {first}", file.len());
}

#[test]
fn replay_includes_events_between_samples() {
    let mut sample = (*samples()[5]).clone();
    let row = sample.sockets[0].clone();
    sample.passing = Passing {
        opened: Fact::Known(9),
        closed: Fact::Known(8),
        watched: true,
        ended: vec![Ended {
            incoming: Some(true),
            row,
            short: true,
            name: Some("curl".into()),
            lived: Fact::Known(1200),
        }],
        untold: 4,
        lost: 2,
        traffic: vec![(ProcessKey { pid: 3, start_ticks: 4 }, Bytes { sent: 5, received: 6 })],
    };
    let sample = Arc::new(sample);
    let mut file = Vec::new();
    Recorder::new(&mut file, b"harbor").unwrap().write(&sample).unwrap();
    let mut player = Player::new(BufReader::new(file.as_slice())).unwrap();
    assert_eq!(player.next_sample().unwrap().as_ref(), Some(&sample));
}

#[test]
fn player_of_text_that_is_no_recording_is_refused() {
    for text in [
        "",
        "hello\n",
        "{}\n",
        "{\"schema\":\"netstat.monitor.recording\",\"version\":9,\"computer\":\"\"}\n",
    ] {
        let refused = Player::new(BufReader::new(text.as_bytes())).unwrap_err();
        assert!(refused.to_string().contains("no recording"), "{refused}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A damaged recording is played as far as it makes sense and then refused, without a panic.
    #[test]
    fn player_of_damaged_recording_never_panics(at in 0..DEMO.len().min(150_000), bytes in prop::collection::vec(any::<u8>(), 1..6), cut: bool) {
        let mut file = DEMO[..DEMO.len().min(150_000)].to_vec();
        if cut {
            file.truncate(at);
        } else {
            let end = (at + bytes.len()).min(file.len());
            file[at..end].copy_from_slice(&bytes[..end - at]);
        }
        let mut modeler = Modeler::default();
        if let Ok(mut player) = Player::new(BufReader::new(file.as_slice())) {
            loop {
                match player.next_sample() {
                    Ok(Some(sample)) => drop(modeler.model(&sample)),
                    Ok(None) => break,
                    Err(refused) => {
                        prop_assert!(!refused.to_string().contains('\n'));
                        break;
                    }
                }
            }
        }
    }
}
