//! What only rules about processes of Windows ask: known programs, places, commands that show a finding.

pub(super) mod helper;
pub(super) mod let_in;
pub(super) mod memory;
pub(super) mod names;
pub(super) mod parent;
pub(super) mod places;
pub(super) mod port_proxy;
pub(super) mod service;
pub(super) mod unsigned;

use netstat_model::process::{ProcessFacts, Signature, WindowsProcess};
use netstat_model::text::powershell_quoted;

use crate::case::Case;
use crate::finding::Rule;

/// The rules that are about Windows alone, in the order in which they are listed.
pub(super) static RULES: [&Rule; 10] = [
    &unsigned::RULE,
    &names::RULE,
    &names::EXTENSION,
    &parent::RULE,
    &helper::RULE,
    &memory::HOLLOWED,
    &memory::PRIVATE,
    &let_in::RULE,
    &service::RULE,
    &port_proxy::RULE,
];

/// `path` in lower case: Windows takes both cases of a letter for the same. Letters beyond ASCII occur in no name that is compared.
fn lower(path: &[u8]) -> Vec<u8> {
    path.to_ascii_lowercase()
}

/// The directory of a path, its backslash included; empty for a name alone.
fn directory(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&byte| byte == b'\\') {
        Some(last) => &path[..=last],
        None => &[],
    }
}

/// What follows `C:` or another drive.
fn behind_drive(path: &[u8]) -> &[u8] {
    match path {
        [letter, b':', rest @ ..] if letter.is_ascii_alphabetic() => rest,
        path => path,
    }
}

/// A name of a program in lower case, without `.exe`.
fn bare(name: &[u8]) -> Vec<u8> {
    let name = lower(name);
    match name.strip_suffix(b".exe") {
        Some(bare) => bare.to_vec(),
        None => name,
    }
}

/// The facts that only Windows has, and the path of the program.
fn told<'a>(case: &Case<'a>) -> Option<(&'a WindowsProcess, &'a [u8])> {
    let path = case.program?.path.as_slice();
    Some((case.facts.windows.as_deref()?, path)).filter(|(_, path)| path.contains(&b'\\'))
}

/// Whether its program is signed by somebody whom this computer trusts.
fn is_signed(windows: &WindowsProcess) -> bool {
    matches!(windows.signature.as_ref().known(), Some(Signature::Valid { .. }))
}

/// A command that shows the process, its parent and its command line.
pub(super) fn show_process(facts: &ProcessFacts) -> String {
    format!(
        "Get-CimInstance Win32_Process -Filter ProcessId={} | Format-List ProcessId, ParentProcessId, ExecutablePath, CommandLine, CreationDate",
        facts.pid
    )
}

/// A command that shows the signature of the file.
fn show_signature(path: &[u8]) -> String {
    format!("Get-AuthenticodeSignature {} | Format-List", powershell_quoted(path))
}

/// The processes above: each name in lower case without `.exe`, with its id, the nearest first.
fn parents<'a>(case: &Case<'a>) -> impl Iterator<Item = (Vec<u8>, u32)> + use<'a> {
    let chain = case.facts.ancestors.as_ref().known().map_or(&[][..], Vec::as_slice);
    chain.iter().map(|ancestor| {
        let path = ancestor
            .path
            .as_ref()
            .known()
            .map(|path| netstat_model::text::file_name(path));
        (bare(path.unwrap_or(&ancestor.comm)), ancestor.pid)
    })
}
