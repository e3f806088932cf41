//! Compile: `addresses` of a listener or a route, and the list files that they name.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use ipnet::IpNet;

use super::CompileContext;
use crate::config::doc_path::DocPath;
use crate::config::raw::address::{AddressSource, Addresses as Written};
use crate::config::raw::limit::Mode;
use crate::decision::access::address::list::{self, Mistakes, Parsed};
use crate::decision::access::address::{AddressRange, AddressRules, Addresses, List, ListId, parse_range};
use crate::diagnostics::{Place, Severity};

/// The list files that the rules name. Each is read once, however many name it.
#[derive(Default)]
pub struct ListFiles {
    /// By [`ListId`].
    compiled: Vec<List>,
    /// `None` for files that are wrong, which is reported.
    ids: HashMap<String, Option<ListId>>,
}

impl ListFiles {
    /// Every list, by [`ListId`].
    pub fn finish(self) -> Vec<List> {
        self.compiled
    }

    fn list(&mut self, ctx: &mut CompileContext, path: &DocPath, file: &str) -> Option<(ListId, Arc<str>)> {
        let id = match self.ids.get(file) {
            Some(known) => *known,
            None => {
                let id = self.load(ctx, path, file);
                self.ids.insert(file.to_owned(), id);
                id
            }
        }?;
        Some((id, Arc::clone(&self.compiled[id.0 as usize].file)))
    }

    fn load(&mut self, ctx: &mut CompileContext, path: &DocPath, file: &str) -> Option<ListId> {
        let content = ctx.read_watched_file(path, file)?;
        let parsed = match list::parse(&content) {
            Ok(parsed) => parsed,
            Err(mistakes) => {
                report_mistakes(ctx, path, file, &mistakes);
                return None;
            }
        };
        report_inexact(ctx, path, file, &parsed);
        let id = ListId(u32::try_from(self.compiled.len()).ok()?);
        self.compiled.push(List { file: file.into(), loaded: Arc::new(parsed.set) });
        Some(id)
    }
}

/// What `addresses` are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Connections, before anything is read from them.
    Listener,
    /// Requests.
    Route,
}

/// Compiles the `addresses` that stand at `path`. `None` if they are wrong, which is reported.
pub fn rules(
    ctx: &mut CompileContext,
    lists: &mut ListFiles,
    path: &DocPath,
    scope: Scope,
    written: &Written,
) -> Option<AddressRules> {
    let report_only = written.mode == Mode::Report;
    if report_only && scope == Scope::Listener {
        ctx.error_with_help(
            &path.key("mode"),
            "report_without_request",
            "a listener refuses connections before there is a request that a report could go with",
            "remove `mode`, or write the rule on routes",
        );
    }
    if written.allow.is_none() && written.deny.0.is_empty() {
        ctx.error_with_help(
            path,
            "addresses_missing",
            "the rule names no addresses, so it would change nothing",
            "write `allow` or `deny` with addresses, or remove the rule",
        );
    }
    let deny = addresses(ctx, lists, &path.key("deny"), &written.deny.0);
    let allow = match &written.allow {
        None => Some(None),
        Some(written) => allowed(ctx, lists, &path.key("allow"), &written.0).map(Some),
    };
    Some(AddressRules { allow: allow?, deny: deny?, report_only, place: ctx.place(path) })
}

fn allowed(
    ctx: &mut CompileContext,
    lists: &mut ListFiles,
    path: &DocPath,
    written: &[AddressSource],
) -> Option<Addresses> {
    if written.is_empty() {
        ctx.error_with_help(
            path,
            "addresses_missing",
            "no address is allowed, so nobody could come in",
            "name the addresses that may, or remove `allow`",
        );
        return None;
    }
    let allowed = addresses(ctx, lists, path, written)?;
    let in_lists = allowed.lists.iter().map(|(id, _)| lists.compiled[id.0 as usize].loaded.entries());
    if allowed.ranges.entries() + in_lists.sum::<usize>() == 0 {
        ctx.warning(
            path,
            "address_list_empty",
            "the list is empty, so nobody can come in",
            "write the addresses that may, one a line",
        );
    }
    Some(allowed)
}

fn addresses(
    ctx: &mut CompileContext,
    lists: &mut ListFiles,
    path: &DocPath,
    written: &[AddressSource],
) -> Option<Addresses> {
    let mut ranges = Vec::with_capacity(written.len());
    let mut named = Vec::new();
    for (index, source) in written.iter().enumerate() {
        let path = path.index(index);
        match source {
            AddressSource::Range(text) => match AddressRange::parse(text) {
                Some(range) => ranges.push(range),
                None => ranges.extend(range(ctx, &path, text).map(AddressRange::from)),
            },
            AddressSource::File(file) => named.extend(lists.list(ctx, &path.key("file"), file)),
        }
    }
    let complete = ranges.len() + named.len() == written.len();
    complete.then(|| Addresses { ranges: ranges.into_iter().collect(), lists: named })
}

/// The address or range that `text` says, or a diagnostic at `path`.
pub(super) fn range(ctx: &mut CompileContext, path: &DocPath, text: &str) -> Option<IpNet> {
    let text = text.trim();
    let Some(range) = parse_range(text) else {
        let help = "write an address or a range, such as `10.0.0.1` or `10.0.0.0/8`";
        ctx.error_with_help(path, "invalid_range", format!("`{text}` is not an IP address or range"), help);
        return None;
    };
    if range.trunc() != range {
        let (message, help) = not_exact(range);
        ctx.warning(path, "range_not_exact", message, help);
    }
    Some(range.trunc())
}

fn not_exact(range: IpNet) -> (String, String) {
    let meant = range.trunc();
    (format!("`{range}` has address bits beyond its length: it means `{meant}`"), format!("write `{meant}`"))
}

fn report_mistakes(ctx: &mut CompileContext, path: &DocPath, file: &str, mistakes: &Mistakes) {
    let file: Arc<str> = file.into();
    for (index, mistake) in mistakes.told.iter().enumerate() {
        let place = Place { file: Arc::clone(&file), line: mistake.line, column: mistake.column };
        let mut message = mistake.to_string();
        if index + 1 == mistakes.told.len() && mistakes.untold > 0 {
            message.push_str(&format!("; {} more lines are wrong", mistakes.untold));
        }
        let help = "write one address or range a line, such as `10.0.0.0/8` or `10.0.0.1-10.0.0.9`; `#` or `;` begins a comment";
        ctx.report_at(Severity::Error, place, path, "invalid_range", message, help.to_owned());
    }
}

fn report_inexact(ctx: &mut CompileContext, path: &DocPath, file: &str, parsed: &Parsed) {
    let file: Arc<str> = file.into();
    for inexact in &parsed.inexact {
        let place = Place { file: Arc::clone(&file), line: inexact.line, column: inexact.column };
        let (message, help) = not_exact(inexact.range);
        ctx.report_at(Severity::Warning, place, path, "range_not_exact", message, help);
    }
}
