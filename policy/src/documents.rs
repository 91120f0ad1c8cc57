//! A policy set as people keep it: a folder of YAML files, several documents in each.
//!
//! Everything that is wrong is told at once, each with its file, its document and its path. Sizes are bounded: a file of 10 MiB, a folder
//! of 64 MiB, eight folders deep; the YAML reader bounds aliases, depth and documents of a file.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tillrace_core::text::check_id;
use tillrace_core::topics;
use tillrace_log::setting::Inspection;

use crate::change::Change;
use crate::kind::Kind;
use crate::resource::{Resource, ResourceId};
use crate::set::PolicySet;
use crate::values::{Values, escape};

/// Bytes of the largest file.
const FILE_BYTES: u64 = 10 << 20;
/// Bytes of all files of a folder.
const FOLDER_BYTES: u64 = 64 << 20;
/// Folders within folders.
const DEPTH: usize = 8;
/// Documents that are written to one file.
const DOCUMENTS_A_FILE: usize = 500;
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Something wrong in a folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {fault}", path.display(), document.map(|number| format!(", document {number}")).unwrap_or_default())]
pub struct DocumentFault {
    /// The file, or the folder.
    pub path: PathBuf,
    /// Which of its documents, from 1.
    pub document: Option<usize>,
    /// What is wrong, and what to do about it.
    pub fault: String,
}

/// Everything that is wrong in a folder; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentFaults(Vec<DocumentFault>);

impl DocumentFaults {
    /// Returns them all.
    pub fn all(&self) -> &[DocumentFault] {
        &self.0
    }
}

impl fmt::Display for DocumentFaults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        formatter.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for DocumentFaults {}

#[derive(PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    kind: String,
    tenant: String,
    name: String,
    spec: Value,
}

/// Reads a folder, or one file, and checks every document by its kind.
///
/// # Errors
/// All that is wrong.
pub fn read_folder(
    path: &Path,
    values: &Values,
    kinds: &[Kind],
) -> Result<PolicySet, DocumentFaults> {
    let mut reading = Reading {
        values,
        kinds,
        set: PolicySet::default(),
        places: BTreeMap::new(),
        faults: Vec::new(),
        bytes: 0,
    };
    reading.path(path, 0, true);
    if reading.faults.is_empty() { Ok(reading.set) } else { Err(DocumentFaults(reading.faults)) }
}

struct Reading<'a> {
    values: &'a Values,
    kinds: &'a [Kind],
    set: PolicySet,
    places: BTreeMap<ResourceId, (PathBuf, usize)>,
    faults: Vec<DocumentFault>,
    bytes: u64,
}

impl Reading<'_> {
    fn fault(&mut self, path: &Path, document: Option<usize>, fault: impl Into<String>) {
        self.faults.push(DocumentFault { path: path.to_owned(), document, fault: fault.into() });
    }

    fn path(&mut self, path: &Path, depth: usize, is_named: bool) {
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => return self.fault(path, None, format!("cannot be read: {error}")),
        };
        if !metadata.is_dir() {
            let ending = path.extension().and_then(|ending| ending.to_str());
            if is_named || ending.is_some_and(|ending| ENDINGS.contains(&ending)) {
                self.file(path, metadata.len());
            }
            return;
        }
        if depth > DEPTH {
            let fault = format!("is more than {DEPTH} folders deep; a link may lead back");
            return self.fault(path, None, fault);
        }
        let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        match entries {
            Err(error) => self.fault(path, None, format!("cannot be read: {error}")),
            Ok(entries) => {
                let mut paths: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
                paths.sort();
                for path in &paths {
                    self.path(path, depth + 1, false);
                }
            }
        }
    }

    fn file(&mut self, path: &Path, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        if bytes > FILE_BYTES || self.bytes > FOLDER_BYTES {
            let (file, folder) = (FILE_BYTES >> 20, FOLDER_BYTES >> 20);
            let fault = format!(
                "is too large: a file may have {file} MiB, all of a folder {folder} MiB; write several files, or apply parts"
            );
            return self.fault(path, None, fault);
        }
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.fault(path, None, format!("cannot be read: {error}")),
        };
        let documents: Vec<Value> = match serde_saphyr::from_multiple(&text) {
            Ok(documents) => documents,
            Err(error) => return self.fault(path, None, format!("is no YAML: {error}")),
        };
        for (index, document) in documents.into_iter().enumerate() {
            if let Err(fault) = self.document(path, index + 1, document) {
                self.fault(path, Some(index + 1), fault);
            }
        }
    }

    fn document(&mut self, path: &Path, number: usize, document: Value) -> Result<(), String> {
        let document: Document = serde_json::from_value(document)
            .map_err(|error| format!("{error}; a document has kind, tenant, name and spec"))?;
        let Document { kind, tenant, name, mut spec } = document;
        let Some(known) = Kind::find(self.kinds, &kind) else {
            let known: Vec<&str> = self.kinds.iter().map(|kind| kind.name).collect();
            return Err(format!("kind: there is no {kind}; there are {}", known.join(", ")));
        };
        for (member, id) in [("tenant", &tenant), ("name", &name)] {
            check_id(id).map_err(|error| format!("{member}: {error}"))?;
        }
        let id = ResourceId::new(&kind, &tenant, &name);
        let at = |fault: String| format!("{id}: {fault}");
        self.values.fill(&mut spec).map_err(|fault| {
            at(format!("spec: {fault}; give it in a file with --values, or write $${{ for ${{"))
        })?;
        Inspection::of("spec", |found| (known.inspect)(&spec, found))
            .map_err(|errors| at(errors.to_string()))?;
        if let Some((other, place)) = self.places.get(&id) {
            return Err(at(format!(
                "is also document {place} of {}; remove one of them",
                other.display()
            )));
        }
        self.places.insert(id.clone(), (path.to_owned(), number));
        self.set.change(&Change::Set(Arc::new(Resource { id, spec })));
        Ok(())
    }
}

/// Writes a resource as a document of a YAML file, which is read as the same resource.
pub fn write_document(resource: &Resource) -> String {
    let ResourceId { kind, tenant, name } = resource.id.clone();
    let mut spec = resource.spec.clone();
    escape(&mut spec);
    let document = Document { kind, tenant, name, spec };
    let is_same =
        |text: &String| serde_saphyr::from_str::<Document>(text).is_ok_and(|read| read == document);
    // A text that YAML takes for something else is safe as JSON, which every reader of YAML reads.
    serde_saphyr::to_string(&document)
        .ok()
        .filter(is_same)
        .or_else(|| Some(serde_json::to_string_pretty(&document).ok()? + "\n"))
        .unwrap_or_default()
}

/// Writes a set as the files of a folder: names, relative to it, and texts. Reading them gives the same set.
pub fn write_folder(set: &PolicySet) -> BTreeMap<PathBuf, String> {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut files: BTreeMap<PathBuf, String> = BTreeMap::new();
    for resource in set.sorted() {
        let of = (resource.id.kind.clone(), resource.id.tenant.clone());
        let count = counts.entry(of).or_default();
        let file = *count / DOCUMENTS_A_FILE + 1;
        *count += 1;
        let folder = topics::key(&[&resource.id.kind.to_lowercase()]);
        let mut name = topics::key(&[&resource.id.tenant]);
        if file > 1 {
            // Writing to a String cannot fail.
            write!(name, "-{file:03}").ok();
        }
        let text = files.entry(Path::new(&folder).join(name + ".yaml")).or_default();
        if !text.is_empty() {
            text.push_str("---\n");
        }
        text.push_str(&write_document(resource));
    }
    files
}

#[cfg(test)]
mod tests;
