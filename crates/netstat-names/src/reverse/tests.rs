use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A deadline that a passing test never reaches.
const AGES: Duration = Duration::from_secs(60);

fn address(number: u32) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number))
}

fn quiet(_: usize, _: usize) {}

fn host(text: &str) -> Lookup {
    Lookup::Resolved(HostName::parse(text.as_bytes()).unwrap())
}

/// A resolver that blocks until it is opened, and counts the questions.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    asked: AtomicUsize,
    inside: AtomicUsize,
    most_inside: AtomicUsize,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn close(&self) {
        *self.open.lock().unwrap() = false;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits until exactly `count` questions are blocked.
    fn wait_for_inside(&self, count: usize) {
        let begin = Instant::now();
        while self.inside.load(Ordering::SeqCst) != count {
            assert!(begin.elapsed() < AGES);
            thread::sleep(Duration::from_millis(1));
        }
    }
}

struct Gated(Arc<Gate>);

impl Resolver for Gated {
    fn name_of(&self, address: IpAddr) -> Answer {
        let gate = &self.0;
        gate.asked.fetch_add(1, Ordering::SeqCst);
        let inside = gate.inside.fetch_add(1, Ordering::SeqCst) + 1;
        gate.most_inside.fetch_max(inside, Ordering::SeqCst);
        let mut open = gate.open.lock().unwrap();
        while !*open {
            open = gate.opened.wait(open).unwrap();
        }
        drop(open);
        gate.inside.fetch_sub(1, Ordering::SeqCst);
        Answer::Name(format!("host-{}.test", address.to_string().replace('.', "x")).into_bytes())
    }
}

fn gated(threads: usize) -> (Arc<Gate>, ReverseDns) {
    let gate = Arc::new(Gate::default());
    let limits = Limits {
        threads,
        ..Limits::default()
    };
    (Arc::clone(&gate), ReverseDns::new(Arc::new(Gated(gate)), limits))
}

/// Returns a clock that the test controls.
fn clock() -> (Arc<Mutex<Duration>>, Clock) {
    let passed = Arc::new(Mutex::new(Duration::ZERO));
    let (begin, shared) = (Instant::now(), Arc::clone(&passed));
    (passed, Arc::new(move || begin + *shared.lock().unwrap()))
}

/// Returns a resolver that answers with `answer` and counts the questions, on a clock that the test controls.
fn timed(answer: fn(usize) -> Answer) -> (Arc<AtomicUsize>, Arc<Mutex<Duration>>, ReverseDns) {
    let asked = Arc::new(AtomicUsize::new(0));
    let (passed, clock) = clock();
    let resolver = {
        let asked = Arc::clone(&asked);
        move |_: IpAddr| answer(asked.fetch_add(1, Ordering::SeqCst))
    };
    let dns = ReverseDns::with_clock(Arc::new(resolver), Limits::default(), clock);
    (asked, passed, dns)
}

/// Waits until no thread runs, so that background look-ups are complete.
fn settle(dns: &ReverseDns) {
    let begin = Instant::now();
    while dns.shared.lock().workers > 0 {
        assert!(begin.elapsed() < AGES);
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn reverse_lookup_asks_for_each_address_once() {
    let (asked, _, mut dns) = timed(|_| Answer::Name(b"a.test".to_vec()));
    let addresses = || {
        (0..300)
            .map(|n| address(n % 30))
            .chain(["::ffff:10.0.0.1".parse().unwrap()])
    };
    let answers = dns.resolve(addresses(), AGES, &mut quiet);
    assert_eq!(asked.load(Ordering::SeqCst), 30);
    assert_eq!(
        answers.summary(),
        Summary {
            total: 30,
            resolved: 30,
            ..Summary::default()
        }
    );
    assert_eq!(answers.get("::ffff:10.0.0.29".parse().unwrap()), &host("a.test"));
    dns.resolve(addresses(), AGES, &mut quiet);
    assert_eq!(asked.load(Ordering::SeqCst), 30, "a listing later");
}

#[test]
fn reverse_lookup_keeps_kinds_of_answers_apart() {
    let resolver = |address: IpAddr| match address.to_string().as_str() {
        "10.0.0.1" => Answer::Name(b"good.test".to_vec()),
        "10.0.0.2" => Answer::NotFound,
        "10.0.0.3" => Answer::Name(b"bad name".to_vec()),
        "10.0.0.4" => Answer::Failed,
        _ => panic!("a resolver in trouble"),
    };
    let mut dns = ReverseDns::new(Arc::new(resolver), Limits::default());
    let answers = dns.resolve((1..6).map(address), AGES, &mut quiet);
    let expected = [
        host("good.test"),
        Lookup::NotFound,
        Lookup::Refused,
        Lookup::Failed,
        Lookup::Failed,
    ];
    for (number, expected) in (1..6).zip(expected) {
        assert_eq!(answers.get(address(number)), &expected, "{number}");
    }
    let sum = Summary {
        total: 5,
        resolved: 1,
        not_found: 1,
        refused: 1,
        failed: 2,
        timed_out: 0,
    };
    assert_eq!(answers.summary(), sum);
    assert_eq!(answers.get(address(9)), &Lookup::NotAsked);
}

#[test]
fn reverse_lookup_asks_in_parallel_up_to_limit() {
    let (gate, mut dns) = gated(8);
    dns.resolve((0..100).map(address), Duration::ZERO, &mut quiet);
    gate.wait_for_inside(8);
    gate.open();
    settle(&dns);
    assert_eq!((gate.asked(), gate.most_inside.load(Ordering::SeqCst)), (100, 8));
}

#[test]
fn reverse_lookup_starts_no_more_threads_than_addresses() {
    let (gate, mut dns) = gated(64);
    dns.resolve((0..3).map(address), Duration::ZERO, &mut quiet);
    assert_eq!(dns.shared.lock().workers, 3);
    gate.open();
    settle(&dns);
    assert_eq!(dns.shared.lock().workers, 0, "threads end when there is nothing to do");
}

#[test]
fn reverse_lookup_past_deadline_ends_and_late_answers_are_used_next() {
    let (gate, mut dns) = gated(4);
    let deadline = Duration::from_secs(1);
    let mut calls = Vec::new();
    let begin = Instant::now();
    let answers = dns.resolve((0..40).map(address), deadline, &mut |done, total| {
        calls.push((done, total))
    });
    let took = begin.elapsed();
    assert!(took >= deadline && took < deadline + Duration::from_secs(2), "{took:?}");
    assert_eq!(
        answers.summary(),
        Summary {
            total: 40,
            timed_out: 40,
            ..Summary::default()
        }
    );
    assert_eq!(answers.get(address(0)), &Lookup::TimedOut);
    assert!(
        (1..=10).contains(&calls.len()) && calls.iter().all(|&call| call == (0, 40)),
        "{calls:?}"
    );

    // A repeated listing while the resolver hangs waits for nothing and starts no further threads.
    let answers = dns.resolve((0..40).map(address), AGES, &mut quiet);
    assert_eq!(answers.get(address(0)), &Lookup::TimedOut);
    gate.wait_for_inside(4);
    assert_eq!((gate.asked(), dns.shared.lock().workers), (4, 4));

    gate.open();
    settle(&dns);
    let answers = dns.resolve((0..40).map(address), AGES, &mut quiet);
    assert_eq!(
        answers.summary(),
        Summary {
            total: 40,
            resolved: 40,
            ..Summary::default()
        }
    );
    assert_eq!(answers.get(address(7)), &host("host-10x0x0x7.test"));
    assert_eq!(gate.asked(), 40, "nothing was asked twice");
}

#[test]
fn reverse_lookup_with_hanging_resolver_bounds_threads_and_queue() {
    let (gate, mut dns) = gated(8);
    for listing in 0..10 {
        dns.resolve(
            (listing * 100..listing * 100 + 100).map(address),
            Duration::ZERO,
            &mut quiet,
        );
    }
    gate.wait_for_inside(8);
    {
        let state = dns.shared.lock();
        assert_eq!((state.workers, state.awaited), (8, 0));
        assert!(
            state.queue.len() <= 100 && state.entries.len() <= 108,
            "{} {}",
            state.queue.len(),
            state.entries.len()
        );
    }
    gate.open();
    settle(&dns);
    assert_eq!(gate.most_inside.load(Ordering::SeqCst), 8);
    assert!(gate.asked() <= 108);
}

#[test]
fn reverse_lookup_queues_new_addresses_before_late_ones() {
    let (gate, mut dns) = gated(1);
    dns.resolve((0..20).map(address), Duration::ZERO, &mut quiet);
    gate.wait_for_inside(1);
    dns.resolve((0..21).map(address), Duration::ZERO, &mut quiet);
    assert_eq!(dns.shared.lock().queue.front(), Some(&address(20)));
    gate.open();
    settle(&dns);
}

#[test]
fn reverse_lookup_answered_in_time_ends_wait() {
    let (gate, mut dns) = gated(4);
    let opener = thread::spawn(move || {
        gate.wait_for_inside(4);
        gate.open();
    });
    let begin = Instant::now();
    let answers = dns.resolve((0..40).map(address), AGES, &mut quiet);
    assert!(begin.elapsed() < AGES / 2);
    assert_eq!(answers.summary().resolved, 40);
    opener.join().unwrap();
}

#[test]
fn reverse_lookup_progress_counts_known_addresses() {
    let (gate, mut dns) = gated(1);
    let opening = Arc::clone(&gate);
    gate.open();
    dns.resolve([address(1)], AGES, &mut quiet);
    gate.close();
    let mut calls = Vec::new();
    dns.resolve([address(1), address(2)], AGES, &mut |done, total| {
        calls.push((done, total));
        opening.open();
    });
    assert_eq!(calls.first(), Some(&(1, 2)));
}

#[test]
fn reverse_name_after_five_minutes_is_refreshed_without_waiting() {
    let gate = Arc::new(Gate::default());
    let (passed, clock) = clock();
    let mut dns = ReverseDns::with_clock(Arc::new(Gated(Arc::clone(&gate))), Limits::default(), clock);
    let mut at = |seconds: u64, deadline| {
        *passed.lock().unwrap() = Duration::from_secs(seconds);
        dns.resolve([address(1)], deadline, &mut quiet).get(address(1)).clone()
    };
    let name = host("host-10x0x0x1.test");
    gate.open();
    assert_eq!(at(0, AGES), name);
    gate.close();
    assert_eq!((at(299, AGES), gate.asked()), (name.clone(), 1));
    assert_eq!(at(300, AGES), name, "not waited for, though the resolver hangs");
    gate.wait_for_inside(1);
    assert_eq!((at(599, AGES), gate.asked()), (name, 2));
    assert_eq!(at(600, Duration::ZERO), Lookup::TimedOut, "too old to be shown");
    gate.open();
    settle(&dns);
    assert_eq!(gate.asked(), 2);
}

#[test]
fn reverse_lookup_without_name_is_asked_again_after_one_minute() {
    for answer in [
        (|_| Answer::NotFound) as fn(usize) -> Answer,
        |_| Answer::Failed,
        |_| Answer::Name(b"no name".to_vec()),
    ] {
        let (asked, passed, mut dns) = timed(answer);
        for (seconds, questions) in [(0, 1), (59, 1), (60, 2), (61, 2), (200, 3)] {
            *passed.lock().unwrap() = Duration::from_secs(seconds);
            dns.resolve([address(1)], AGES, &mut quiet);
            settle(&dns);
            assert_eq!(asked.load(Ordering::SeqCst), questions, "{seconds} s");
        }
    }
}

#[test]
fn reverse_name_not_listed_for_five_minutes_is_forgotten() {
    let (_, passed, mut dns) = timed(|_| Answer::Name(b"a.test".to_vec()));
    dns.resolve((0..50).map(address), AGES, &mut quiet);
    *passed.lock().unwrap() = Duration::from_secs(299);
    dns.resolve([address(1)], AGES, &mut quiet);
    assert_eq!(dns.shared.lock().entries.len(), 50);
    *passed.lock().unwrap() = Duration::from_secs(300);
    dns.resolve([address(1)], AGES, &mut quiet);
    assert_eq!(dns.shared.lock().entries.len(), 1);
    settle(&dns);
}

#[test]
fn reverse_lookup_never_asks_for_link_local_addresses() {
    let mut dns = ReverseDns::new(
        Arc::new(|address: IpAddr| panic!("asked for {address}")),
        Limits::default(),
    );
    let never = [
        "0.0.0.0",
        "255.255.255.255",
        "::",
        "fe80::1",
        "febf::1",
        "ff02::fb",
        "ff01::1",
        "ff12::1",
        "::ffff:0.0.0.0",
    ];
    let answers = dns.resolve(never.map(|text| text.parse().unwrap()), AGES, &mut quiet);
    assert_eq!(answers.summary().total, 0);
    assert_eq!(answers.get("fe80::1".parse().unwrap()), &Lookup::NotAsked);
    for text in [
        "127.0.0.1",
        "169.254.169.254",
        "224.0.0.251",
        "fec0::1",
        "fd00::1",
        "ff0e::1",
        "2001:db8::1",
    ] {
        assert!(askable(text.parse().unwrap()), "{text}");
    }
}

#[test]
fn reverse_lookup_with_endless_deadline_answers() {
    let (_, _, mut dns) = timed(|_| Answer::NotFound);
    assert_eq!(
        dns.resolve([address(1)], Duration::MAX, &mut quiet).summary().not_found,
        1
    );
    assert_eq!(dns.resolve([], Duration::MAX, &mut quiet).summary().total, 0);
}

#[test]
fn reverse_lookup_without_threads_fails_at_once() {
    let (asked, _, mut dns) = timed(|_| Answer::NotFound);
    // More than there is room for, on machines of 32 bits, too.
    dns.stack = usize::MAX / 4 * 3;
    let begin = Instant::now();
    let answers = dns.resolve((0..10).map(address), AGES, &mut quiet);
    assert!(begin.elapsed() < AGES / 2);
    assert_eq!(
        answers.summary(),
        Summary {
            total: 10,
            failed: 10,
            ..Summary::default()
        }
    );
    assert_eq!((asked.load(Ordering::SeqCst), dns.shared.lock().workers), (0, 0));
}
