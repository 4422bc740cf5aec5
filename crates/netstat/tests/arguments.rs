//! Property tests of the command line: arbitrary arguments, and different ways to write the same line.
#![cfg(target_os = "linux")]

use std::ffi::OsString;

use netstat::args::{INTERVAL_MAX, Parsed, Plan, UsageError, Which};
use netstat::registry::parse;
use proptest::prelude::*;

fn answer(words: &[String]) -> Result<Parsed, UsageError> {
    parse(words.iter().map(OsString::from))
}

fn line(words: &str) -> Result<Parsed, UsageError> {
    parse(words.split_whitespace().map(OsString::from))
}

/// Checks what must hold for every result, whatever the arguments were.
fn check(answer: &Result<Parsed, UsageError>) -> Result<(), TestCaseError> {
    match answer {
        Ok(Parsed::Run(plan)) => check_plan(plan),
        Ok(Parsed::Command(..)) => Ok(()),
        Ok(Parsed::Print(text)) => {
            prop_assert!(text.starts_with("Usage: netstat") || text.starts_with("netstat "));
            prop_assert!(text.ends_with('\n'));
            Ok(())
        }
        Err(error) => {
            let error = error.to_string();
            prop_assert!(!error.is_empty() && !error.chars().any(char::is_control), "{error:?}");
            prop_assert!(error.chars().count() < 400, "{error}");
            Ok(())
        }
    }
}

/// Checks what the documentation of `Plan` promises.
fn check_plan(plan: &Plan) -> Result<(), TestCaseError> {
    let parts = plan.ethernet.is_some() || plan.statistics.is_some() || plan.routes.is_some() || plan.processes;
    prop_assert!(parts || plan.list.is_some());
    if let Some(list) = &plan.list {
        let kinds = [
            list.tcp4,
            list.tcp6,
            list.udp4,
            list.udp6,
            list.raw4,
            list.raw6,
            list.mptcp,
            list.packet,
            list.unix,
        ];
        prop_assert!(kinds.contains(&true) || !list.further.is_empty());
    }
    if let Some(statistics) = &plan.statistics {
        prop_assert!(!statistics.blocks.is_empty());
        prop_assert!(statistics.blocks.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(statistics.verbose || !statistics.zeros);
    }
    prop_assert!(!plan.rates || plan.interval.is_some() && (plan.statistics.is_some() || plan.ethernet.is_some()));
    prop_assert!(plan.interval.is_some() || plan.count.is_none_or(|count| count.get() == 1));
    prop_assert!(
        plan.interval
            .is_none_or(|i| (1..=u64::from(INTERVAL_MAX)).contains(&i.as_secs()))
    );
    prop_assert!((1..=3_600_000).contains(&plan.dns_timeout.as_millis()));
    Ok(())
}

/// Generates words similar to valid ones, so that most of the rules are exercised.
fn near_word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[-/][abcdefilnoqrstup]{1,6}",
        1 => "[-/][a-zA-Z?=]{0,5}",
        2 => "(-|/|--)p(rotocol)?=?(tcp|UDP|TcpV6|udpv6|ip|icmp|tpc)?",
        1 => "(tcp|udp|TCPv6|ipv6|icmp|all|main|proc|auto|help)",
        1 => "[-+]?[0-9]{1,12}([.][0-9]{1,3})?s?",
        2 => "--(all|numeric|count|dns-timeout|table|rates|zeros|verbose|per-interface)(=[0-9a-z.]{0,4})?",
        1 => "--(programs|routes|ethernet|statistics|[a-z-]{0,8})",
        1 => "--(state|port)(=[0-9a-z,_-]{0,6})?",
        1 => "(listening|SYN-SENT|bound,closed|443|80,8000-8010)",
        1 => Just("--".to_owned()),
    ]
}

/// Generates distinct switch letters, without `p`, whose position in a cluster matters.
fn letters() -> impl Strategy<Value = Vec<char>> {
    proptest::sample::subsequence("abcdefilnoqrstu".chars().collect::<Vec<_>>(), 1..=15).prop_shuffle()
}

/// Generates switch letters, and the same letters in another order.
fn letters_twice() -> impl Strategy<Value = (Vec<char>, Vec<char>)> {
    letters().prop_flat_map(|letters| (Just(letters.clone()), Just(letters).prop_shuffle()))
}

proptest! {
    #[test]
    fn arguments_of_any_text_are_answered_without_panic(words in proptest::collection::vec(any::<String>(), 0..8)) {
        check(&answer(&words))?;
    }

    #[cfg(unix)]
    #[test]
    fn arguments_of_any_bytes_are_answered_without_panic(words in proptest::collection::vec(any::<Vec<u8>>(), 0..8)) {
        use std::os::unix::ffi::OsStringExt;
        let answer = parse(words.iter().cloned().map(OsString::from_vec));
        check(&answer)?;
        if words.iter().any(|word| std::str::from_utf8(word).is_err()) {
            prop_assert!(!matches!(answer, Ok(Parsed::Run(_))));
        }
    }

    #[test]
    fn arguments_nearly_right_are_answered_without_panic(words in proptest::collection::vec(near_word(), 0..6)) {
        check(&answer(&words))?;
    }

    /// A long option makes `clap` read the whole line, which must not change the result.
    #[test]
    fn long_option_changes_no_other_argument(mut words in proptest::collection::vec(near_word(), 0..6)) {
        // A leading `help` is a command, and commands come first.
        prop_assume!(words.first().is_none_or(|word| !word.eq_ignore_ascii_case("help")));
        let without = answer(&words);
        words.insert(0, "--owners=auto".to_owned());
        prop_assert_eq!(answer(&words), without);
    }

    #[test]
    fn cluster_means_the_same_in_any_order_case_and_style((letters, turned) in letters_twice()) {
        let cluster: String = letters.iter().collect();
        let turned: String = turned.into_iter().collect();
        let apart = |sign: char| -> Vec<String> { letters.iter().map(|letter| format!("{sign}{letter}")).collect() };
        let expected = answer(&[format!("-{cluster}")]);
        prop_assert!(matches!(expected, Ok(Parsed::Run(_))));
        prop_assert_eq!(&answer(&[format!("-{turned}")]), &expected);
        prop_assert_eq!(&answer(&[format!("-{}", turned.to_uppercase())]), &expected);
        prop_assert_eq!(&answer(&[format!("/{turned}")]), &expected);
        prop_assert_eq!(&answer(&apart('-')), &expected);
        prop_assert_eq!(&answer(&apart('/')), &expected);
    }

    #[test]
    fn interval_may_be_at_any_position(letters in letters(), seconds in 1..=INTERVAL_MAX, at: proptest::sample::Index) {
        let mut words: Vec<String> = letters.iter().map(|letter| format!("-{letter}")).collect();
        let Ok(Parsed::Run(mut expected)) = answer(&words) else { return Err(TestCaseError::fail("no plan")) };
        words.insert(at.index(words.len() + 1), seconds.to_string());
        expected.interval = Some(std::time::Duration::from_secs(seconds.into()));
        prop_assert_eq!(answer(&words), Ok(Parsed::Run(expected)));
    }

    /// The `p` may be in any position, including the last.
    #[test]
    fn cluster_tulpn_means_the_same_in_any_order(letters in Just("tulpn".chars().collect::<Vec<_>>()).prop_shuffle()) {
        let cluster: String = letters.into_iter().collect();
        let Ok(Parsed::Run(plan)) = answer(&[format!("-{cluster}")]) else { return Err(TestCaseError::fail(cluster)) };
        let list = plan.list.unwrap();
        prop_assert!(list.tcp4 && list.tcp6 && list.udp4 && list.udp6 && list.pid_program_column);
        prop_assert_eq!(list.states, Which::ListeningOnly);
    }
}

#[test]
fn wrong_arguments_are_refused_by_name() {
    for (words, named) in [
        ("-z", "-z"),
        ("-anz", "\"-anz\""),
        ("--nonsense", "\"--nonsense\""),
        ("-p quic", "\"quic\""),
        ("-an -p", "-p needs"),
        ("-p icmp", "-p icmp needs -s"),
        ("0", "\"0\""),
        ("-an 0", "\"0\""),
        ("-5", "\"-5\""),
        ("1.5", "\"1.5\""),
        ("99999999999", "\"99999999999\""),
        ("everything", "\"everything\""),
        ("/etc/passwd", "\"/etc/passwd\""),
        ("-an --count 0 5", "\"0\""),
        ("--dns-timeout 0", "\"0\""),
        ("--owners lsof", "\"lsof\""),
    ] {
        let error = line(words).expect_err(words).to_string();
        assert!(error.contains(named), "{words}: {error}");
    }
}

#[test]
fn help_is_printed_despite_mistakes() {
    for words in [
        "--help",
        "-z --help",
        "-p --help",
        "0 -h",
        "/? nonsense",
        "-p icmp -h",
        "--rates --help",
    ] {
        assert!(matches!(line(words), Ok(Parsed::Print(_))), "{words}");
    }
}
