//! How fast the descriptor iterator alone is: loads it, passes once over all descriptors and throws the answer away.
//!
//! `iterator_floor [PASSES]` prints one line: loading in milliseconds, then for the fastest pass the sockets found and the time in
//! milliseconds. The benchmark uses it as the least that finding owners can take.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use std::ops::ControlFlow;
    use std::time::{Duration, Instant};

    use netstat_os::linux::owners_ebpf::TaskFile;

    let passes = match std::env::args().nth(1).map(|word| word.parse::<u32>()) {
        None => 1,
        Some(Ok(passes)) if passes > 0 => passes,
        _ => {
            eprintln!("usage: iterator_floor [PASSES]");
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    let iterator = match TaskFile::load() {
        Ok(iterator) => iterator,
        Err(error) => {
            eprintln!("eBPF not used: {error}");
            return ExitCode::FAILURE;
        }
    };
    let load = begun.elapsed();
    let mut buffer = Vec::new();
    let mut best = (Duration::MAX, 0, 0);
    for _ in 0..passes {
        let begun = Instant::now();
        let mut inodes = 0u64;
        match iterator.holdings(&mut buffer, |holding| {
            inodes = inodes.wrapping_add(u64::from(holding.inode));
            ControlFlow::Continue(())
        }) {
            Ok(stats) => best = best.min((begun.elapsed(), stats.holdings, stats.reads)),
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
        // Keeps the compiler from throwing the records away.
        std::hint::black_box(inodes);
    }
    let (pass, holdings, reads) = best;
    println!(
        "load_ms {:.3} sockets {holdings} pass_ms {:.3} reads {reads}",
        load.as_secs_f64() * 1e3,
        pass.as_secs_f64() * 1e3
    );
    ExitCode::SUCCESS
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("Linux only");
    ExitCode::FAILURE
}
