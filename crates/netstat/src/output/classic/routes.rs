//! `-r`: the interface list and the routing tables, in the layout of the Windows command.
//!
//! Linux has information for which that layout has no place:
//! * A route that leads nowhere shows its type in the Gateway column (`Blackhole`, `Unreachable`, `Prohibit`, `Throw`)
//!   and `-` as its interface. IPv6 rows show the interface index that the kernel reports (that of loopback), or `-` if
//!   it reports none.
//! * A route with several next hops has one row for each, with the same destination and metric, and after the last column
//!   `hop 1 of 2, weight 3`. A hop whose link is down is marked in the same place, and so is a route that applies only to
//!   some source or type of service.
//! * The Interface column shows an address of the interface by which packets leave, as on Windows, or the name of the
//!   interface if it has no address.
//! * Policy rules precede the tables if there are any besides the default ones, and with `--table all`.
//! * Addresses are always numeric, so `-n` has no effect.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::num::NonZeroU32;

use netstat_model::Fact;
use netstat_model::route::rule::has_policy;
use netstat_model::route::{
    Interface, NextHop, OutgoingAddresses, PolicyRule, Route, RouteAnswer, RouteListing, RouteQuery, TableSelection,
};
use netstat_model::text::escape;

/// A separator of 75 characters.
const RULE: &str = "===========================================================================\n";
/// The line for a part that is known to be empty.
const NONE: &str = "  None\n";
/// The line for a part that could not be read; the reason is on stderr.
const UNKNOWN: &str = "  -\n";

/// What is printed of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutesOptions {
    /// The selected tables. Headings name the table, unless only the main table is selected, which is the default.
    pub table: TableSelection,
    /// Whether IPv4 routes are shown.
    pub v4: bool,
    /// Whether IPv6 routes are shown.
    pub v6: bool,
}

impl Default for RoutesOptions {
    /// The main table, with both families.
    fn default() -> Self {
        RoutesOptions {
            table: TableSelection::default(),
            v4: true,
            v6: true,
        }
    }
}

/// Writes `listing` to `out`, which should be buffered.
///
/// # Errors
/// Returns an error of `out`.
pub fn write(out: &mut dyn Write, listing: &RouteListing, options: &RoutesOptions) -> io::Result<()> {
    out.write_all(RULE.as_bytes())?;
    out.write_all(b"Interface List\n")?;
    match &listing.interfaces {
        Fact::Known(interfaces) => write_interfaces(out, interfaces)?,
        Fact::Unknown(_) => out.write_all(UNKNOWN.as_bytes())?,
    }
    out.write_all(RULE.as_bytes())?;
    if let Fact::Known(rules) = &listing.rules
        && (has_policy(rules) || options.table == TableSelection::All)
    {
        write_rules(out, rules, listing)?;
    }
    let page = Page { listing, options };
    if options.v4 {
        page.write_family(out, &V4::new(listing))?;
    }
    if options.v6 {
        page.write_family(out, &V6)?;
    }
    Ok(())
}

fn write_interfaces(out: &mut dyn Write, interfaces: &[Interface]) -> io::Result<()> {
    if interfaces.is_empty() {
        return out.write_all(NONE.as_bytes());
    }
    let mut line = String::new();
    for interface in interfaces {
        line.clear();
        describe_interface(&mut line, interface);
        line.push('\n');
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}

/// Appends index, hardware address and name, then in parentheses the driver (or kind) and product, then the alias set
/// by the administrator.
fn describe_interface(line: &mut String, interface: &Interface) {
    put(line, format_args!("{:>3}...", interface.index));
    for byte in interface.hardware_address().unwrap_or(&[]) {
        put(line, format_args!("{byte:02x} "));
    }
    while line.len() < 30 {
        line.push('.');
    }
    line.push_str(&escape(&interface.name));
    let driver = interface.driver.as_ref().known();
    if interface.is_loopback() {
        line.push_str(" (loopback)");
    } else if let Some(what) = interface.kind.as_ref().or(driver) {
        put(line, format_args!(" ({}", escape(what)));
        if let Some(product) = interface.product.as_ref().known() {
            put(line, format_args!(": {}", escape(product)));
        }
        line.push(')');
    }
    if let Some(alias) = &interface.alias {
        put(line, format_args!(", {}", escape(alias)));
    }
}

/// Writes the rules that select a table, in the order in which they are tried.
fn write_rules(out: &mut dyn Write, rules: &[PolicyRule], listing: &RouteListing) -> io::Result<()> {
    for (ipv4, title) in [(true, "IPv4 Policy Rules"), (false, "IPv6 Policy Rules")] {
        let mut rules = rules.iter().filter(|rule| rule.ipv4 == ipv4).peekable();
        if rules.peek().is_none() {
            continue;
        }
        write!(out, "\n{title}\n{RULE}Priority  Selector, Action\n")?;
        for rule in rules {
            let action = rule.action_text(&listing.tables);
            writeln!(out, "{:>8}  {} {action}", rule.priority, rule.selectors())?;
        }
        out.write_all(RULE.as_bytes())?;
    }
    Ok(())
}

/// Writes the path that a packet takes, or why it takes none: `-r --to`.
///
/// # Errors
/// Returns an error of `out`.
pub fn write_way(
    out: &mut dyn Write,
    query: &RouteQuery,
    answer: &RouteAnswer,
    listing: &RouteListing,
) -> io::Result<()> {
    writeln!(out, "\nRoute to {}\n", query.to)?;
    let way = match answer {
        RouteAnswer::Way(way) => way,
        RouteAnswer::None(reason) => return writeln!(out, "  None: {reason}"),
    };
    let rules = listing.rules.as_ref().known().map_or(&[][..], Vec::as_slice);
    let rule = way.rule(rules).map_or_else(
        || "-".to_owned(),
        |rule| {
            format!(
                "{}: {} {}",
                rule.priority,
                rule.selectors(),
                rule.action_text(&listing.tables)
            )
        },
    );
    let table = match listing.tables.name(way.answer.table) {
        Some(name) => escape(name).into_owned(),
        None => way.answer.table.to_string(),
    };
    let row = way.matched.as_ref().map_or_else(
        || "-".to_owned(),
        |row| match row.metric {
            0 => format!("{}/{}", row.destination.address, row.destination.length),
            metric => format!(
                "{}/{}, metric {metric}",
                row.destination.address, row.destination.length
            ),
        },
    );
    let hop = way.answer.next_hops.as_slice().first();
    let gateway = match (way.answer.kind.refusal(), hop.and_then(|hop| hop.gateway)) {
        (Some(word), _) => word.to_owned(),
        (None, Some(gateway)) => gateway.to_string(),
        (None, None) => "On-link".to_owned(),
    };
    let interfaces = listing.interfaces.as_ref().known().map_or(&[][..], Vec::as_slice);
    let interface = hop.and_then(|hop| hop.interface).map_or_else(
        || "-".to_owned(),
        |index| match interfaces.iter().find(|one| one.index == index) {
            Some(one) => format!("{} ({index})", escape(&one.name)),
            None => index.to_string(),
        },
    );
    let source = way.answer.preferred_source.or(query.from);
    let source = source.map_or_else(|| "-".to_owned(), |address| address.to_string());
    let lines = [
        ("Rule", rule),
        ("Table", table),
        ("Route", row),
        ("Gateway", gateway),
        ("Interface", interface),
        ("Source", source),
    ];
    for (name, value) in lines {
        writeln!(out, "  {name:<11}{value}")?;
    }
    if let Some(encapsulation) = hop.and_then(|hop| hop.encapsulation.as_ref()) {
        writeln!(out, "  {:<11}{encapsulation}", "Wrapped in")?;
    }
    Ok(())
}

/// The differences between the two families.
trait Family {
    const TITLE: &'static str;
    const ACTIVE_HEADING: &'static str;
    const PERSISTENT_HEADING: &'static str;
    /// Whether a separator follows persistent routes even if there are none.
    const RULE_AFTER_NONE: bool;

    fn routes<'a>(&self, listing: &'a RouteListing) -> Fact<&'a Vec<Route>>;
    /// Appends a row of "Active Routes".
    fn active(&self, line: &mut String, row: Row<'_>);
    /// Appends a row of "Persistent Routes".
    fn persistent(&self, line: &mut String, row: Row<'_>);
}

/// One row: a route over one of its next hops.
#[derive(Clone, Copy)]
struct Row<'a> {
    route: &'a Route,
    /// The next hop; `None` if the route has none.
    hop: Option<&'a NextHop>,
    /// Its position among the next hops of the route, from 1.
    place: usize,
}

struct Page<'a> {
    listing: &'a RouteListing,
    options: &'a RoutesOptions,
}

impl Page<'_> {
    fn write_family<F: Family>(&self, out: &mut dyn Write, family: &F) -> io::Result<()> {
        let routes = match family.routes(self.listing) {
            Fact::Known(routes) => routes,
            Fact::Unknown(_) => {
                self.write_title::<F>(out, None)?;
                let end = if F::RULE_AFTER_NONE { RULE } else { "" };
                return write!(out, "Active Routes:\n{UNKNOWN}{RULE}Persistent Routes:\n{UNKNOWN}{end}");
            }
        };
        match self.options.table {
            TableSelection::One(table) => self.write_table(out, family, Some(table), routes),
            TableSelection::All if routes.is_empty() => self.write_table(out, family, None, routes),
            TableSelection::All => routes
                .chunk_by(|a, b| a.table == b.table)
                .try_for_each(|of_table| self.write_table(out, family, of_table.first().map(|r| r.table), of_table)),
        }
    }

    fn write_title<F: Family>(&self, out: &mut dyn Write, table: Option<u32>) -> io::Result<()> {
        write!(out, "\n{}", F::TITLE)?;
        match table.filter(|_| self.options.table != TableSelection::default()) {
            None => {}
            Some(table) => match self.listing.tables.name(table) {
                Some(name) => write!(out, ": {} ({table})", escape(name))?,
                None => write!(out, ": {table}")?,
            },
        }
        write!(out, "\n{RULE}")
    }

    fn write_table<F: Family>(
        &self,
        out: &mut dyn Write,
        family: &F,
        table: Option<u32>,
        routes: &[Route],
    ) -> io::Result<()> {
        self.write_title::<F>(out, table)?;
        write!(
            out,
            "Active Routes:\n{}",
            if routes.is_empty() { NONE } else { F::ACTIVE_HEADING }
        )?;
        let mut line = String::with_capacity(160);
        for row in routes.iter().flat_map(rows) {
            line.clear();
            family.active(&mut line, row);
            out.write_all(line.as_bytes())?;
        }
        writeln!(out, "{RULE}Persistent Routes:")?;
        let mut persistent = routes.iter().filter(|route| route.is_persistent()).peekable();
        if persistent.peek().is_none() {
            return write!(out, "{NONE}{}", if F::RULE_AFTER_NONE { RULE } else { "" });
        }
        out.write_all(F::PERSISTENT_HEADING.as_bytes())?;
        for row in persistent.flat_map(rows) {
            line.clear();
            family.persistent(&mut line, row);
            out.write_all(line.as_bytes())?;
        }
        out.write_all(RULE.as_bytes())
    }
}

fn rows(route: &Route) -> impl Iterator<Item = Row<'_>> {
    let hops = route.next_hops.as_slice();
    let none = hops.is_empty().then_some(Row {
        route,
        hop: None,
        place: 1,
    });
    none.into_iter()
        .chain(hops.iter().zip(1..).map(move |(hop, place)| Row {
            route,
            hop: Some(hop),
            place,
        }))
}

struct V4 {
    outgoing: OutgoingAddresses,
    /// Escaped names of interfaces by index.
    names: HashMap<NonZeroU32, String>,
}

impl V4 {
    fn new(listing: &RouteListing) -> Self {
        let addresses = listing.addresses.as_ref().known().map_or(&[][..], Vec::as_slice);
        let interfaces = listing.interfaces.as_ref().known().map_or(&[][..], Vec::as_slice);
        let names = interfaces
            .iter()
            .map(|interface| (interface.index, escape(&interface.name).into_owned()))
            .collect();
        V4 {
            outgoing: OutgoingAddresses::new(addresses),
            names,
        }
    }

    /// Appends the first columns of both blocks: destination, netmask, gateway.
    fn start(line: &mut String, row: Row<'_>) {
        let destination = row.route.destination;
        right(line, 15, |line| put(line, format_args!("{}", destination.address)));
        right(line, 15, |line| match destination.netmask() {
            Some(mask) => put(line, format_args!("{mask}")),
            None => line.push('-'),
        });
        right(line, 15, |line| put_gateway(line, row));
    }

    fn put_interface(&self, line: &mut String, row: Row<'_>) {
        let Some(hop) = row.hop.filter(|_| row.route.kind.refusal().is_none()) else {
            return line.push('-');
        };
        match (self.outgoing.of(row.route, hop), hop.interface) {
            (Some(address), _) => put(line, format_args!("{address}")),
            (None, Some(index)) => match self.names.get(&index) {
                Some(name) => line.push_str(name),
                // The interface appeared or vanished during the reading.
                None => put(line, format_args!("{index}")),
            },
            (None, None) => line.push('-'),
        }
    }
}

impl Family for V4 {
    const TITLE: &'static str = "IPv4 Route Table";
    const ACTIVE_HEADING: &'static str =
        "Network Destination        Netmask          Gateway       Interface  Metric\n";
    const PERSISTENT_HEADING: &'static str = "  Network Address          Netmask  Gateway Address  Metric\n";
    const RULE_AFTER_NONE: bool = true;

    fn routes<'a>(&self, listing: &'a RouteListing) -> Fact<&'a Vec<Route>> {
        listing.ipv4.as_ref()
    }

    fn active(&self, line: &mut String, row: Row<'_>) {
        V4::start(line, row);
        right(line, 15, |line| self.put_interface(line, row));
        right(line, 5, |line| put(line, format_args!("{}", row.route.metric)));
        put_notes(line, row);
        line.push('\n');
    }

    fn persistent(&self, line: &mut String, row: Row<'_>) {
        V4::start(line, row);
        right(line, 6, |line| put(line, format_args!("{}", row.route.metric)));
        put_notes(line, row);
        line.push('\n');
    }
}

struct V6;

impl Family for V6 {
    const TITLE: &'static str = "IPv6 Route Table";
    const ACTIVE_HEADING: &'static str = " If Metric Network Destination      Gateway\n";
    const PERSISTENT_HEADING: &'static str = V6::ACTIVE_HEADING;
    const RULE_AFTER_NONE: bool = false;

    fn routes<'a>(&self, listing: &'a RouteListing) -> Fact<&'a Vec<Route>> {
        listing.ipv6.as_ref()
    }

    fn active(&self, line: &mut String, row: Row<'_>) {
        match row.hop.and_then(|hop| hop.interface) {
            Some(index) => put(line, format_args!("{index:>3}")),
            None => line.push_str("  -"),
        }
        put(line, format_args!(" {:>6} ", row.route.metric));
        let start = line.len();
        let destination = row.route.destination;
        put(line, format_args!("{}/{}", destination.address, destination.length));
        let width = line.len() - start;
        if width > 24 {
            line.push('\n');
            pad(line, 36);
        } else {
            pad(line, 25 - width);
        }
        put_gateway(line, row);
        put_notes(line, row);
        line.push('\n');
    }

    fn persistent(&self, line: &mut String, row: Row<'_>) {
        self.active(line, row);
    }
}

fn put_gateway(line: &mut String, row: Row<'_>) {
    match (row.route.kind.refusal(), row.hop.and_then(|hop| hop.gateway)) {
        (Some(word), _) => line.push_str(word),
        (None, Some(gateway)) => put(line, format_args!("{gateway}")),
        // The next-hop object could not be read, so the gateway is unknown.
        (None, None) if row.route.is_unresolved() => line.push('-'),
        (None, None) => line.push_str("On-link"),
    }
}

/// Appends what the layout has no column for, two spaces after the last column.
fn put_notes(line: &mut String, row: Row<'_>) {
    let Row { route, hop, place } = row;
    let mut lead = "  ";
    let mut note = |text: std::fmt::Arguments<'_>| {
        line.push_str(lead);
        put(line, text);
        lead = ", ";
    };
    if let Some(hop) = hop {
        let count = route.next_hops.as_slice().len();
        if count > 1 {
            note(format_args!("hop {place} of {count}, weight {}", hop.weight));
        }
        if let Some(encapsulation) = &hop.encapsulation {
            note(format_args!("{encapsulation}"));
        }
        if hop.is_link_down() {
            note(format_args!("link down"));
        } else if hop.is_dead() {
            note(format_args!("dead"));
        }
    }
    if let Some(source) = &route.source {
        note(format_args!("from {}/{}", source.address, source.length));
    }
    if route.tos != 0 {
        note(format_args!("tos {:#04x}", route.tos));
    }
}

/// Appends two spaces, then the output of `cell`, right-aligned in `width` columns. A longer cell shifts the rest of
/// the row.
fn right(line: &mut String, width: usize, cell: impl FnOnce(&mut String)) {
    line.push_str("  ");
    let start = line.len();
    cell(line);
    let got = line[start..].chars().count();
    if got < width {
        // This moves at most 15 bytes.
        line.insert_str(start, &BLANKS[..width - got]);
    }
}

const BLANKS: &str = "                                    ";

fn pad(line: &mut String, count: usize) {
    line.extend(std::iter::repeat_n(' ', count));
}

fn put(line: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = line.write_fmt(text);
}
