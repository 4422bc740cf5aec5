//! Prints the content of a recording of the monitor: `netstat monitor --record FILE`, then
//! `cargo run -p netstat-monitor --example samples -- FILE`.

use std::fs::File;
use std::io::BufReader;

use netstat_monitor::model::Modeler;
use netstat_monitor::recording::Player;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: samples RECORDING");
        std::process::exit(2);
    };
    let mut player = Player::new(BufReader::new(File::open(path)?))?;
    println!("recorded on {}", player.computer());
    let mut modeler = Modeler::default();
    while let Some(sample) = player.next_sample()? {
        let model = modeler.model(&sample);
        println!("{} processes, {} sockets", model.processes.len(), model.sockets.len());
    }
    Ok(())
}
