//! No circles of modules: among the modules that stand side by side in one module, none depends on itself by way of others.
//!
//! It reads the sources of every crate, takes what a module names (`use` and paths, through what its parents re-export) as
//! what it depends on, in macros and attributes too, tests left out, and counts all that stands below a module as part of it. Who reads the list of files
//! from above then never has to know a later one to understand an earlier one, and any tail of it can move to a crate of its own.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a source that cannot be read fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Meta, UseTree};

type Name = Vec<String>;

/// A module of a crate, by its path from the crate's root.
#[derive(Debug, Default)]
struct Module {
    children: BTreeSet<String>,
    /// What it imports under which name, for those who name that by way of it.
    imports: BTreeMap<String, Name>,
    /// Paths it names, as written.
    paths: Vec<Name>,
}

#[derive(Debug, Default)]
struct Crate {
    modules: BTreeMap<Name, Module>,
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string().contains("test"),
        Meta::NameValue(_) => false,
    })
}

struct Reader<'c> {
    all: &'c mut Crate,
    at: Name,
    folder: PathBuf,
}

impl Reader<'_> {
    fn module(&mut self) -> &mut Module {
        self.all.modules.entry(self.at.clone()).or_default()
    }

    fn read(&mut self, items: &[Item]) {
        self.module();
        for item in items {
            self.visit_item(item);
        }
    }

    fn import(&mut self, tree: &UseTree, mut prefix: Name) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.import(&path.tree, prefix);
            }
            UseTree::Name(name) if name.ident == "self" => {
                self.imported(prefix.last().cloned(), prefix);
            }
            UseTree::Name(name) => {
                prefix.push(name.ident.to_string());
                self.imported(prefix.last().cloned(), prefix);
            }
            UseTree::Rename(rename) => {
                prefix.push(rename.ident.to_string());
                self.imported(Some(rename.rename.to_string()), prefix);
            }
            UseTree::Glob(_) => self.module().paths.push(prefix),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, prefix.clone());
                }
            }
        }
    }

    /// Takes the paths of tokens that are no syntax yet: a macro's, or an attribute's.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path = Name::new();
        let mut is_open = true;
        for token in tokens {
            match token {
                TokenTree::Ident(segment) => {
                    if !is_open {
                        self.module().paths.push(std::mem::take(&mut path));
                    }
                    path.push(segment.to_string());
                    is_open = false;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => is_open = true,
                TokenTree::Group(group) => {
                    self.module().paths.push(std::mem::take(&mut path));
                    self.tokens(group.stream());
                    is_open = true;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.module().paths.push(std::mem::take(&mut path));
                    is_open = true;
                }
            }
        }
        self.module().paths.push(path);
    }

    fn imported(&mut self, name: Option<String>, path: Name) {
        let module = self.module();
        module.imports.extend(name.map(|name| (name, path.clone())));
        module.paths.push(path);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, method: &'ast syn::ImplItemFn) {
        if !is_test(&method.attrs) {
            visit::visit_impl_item_fn(self, method);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.import(&item.tree, Name::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.module().paths.push(segments);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let name = item.ident.to_string();
        self.module().children.insert(name.clone());
        let mut at = self.at.clone();
        at.push(name.clone());
        let folder = self.folder.join(&name);
        let mut child = Reader { all: self.all, at, folder };
        if let Some((_, items)) = &item.content {
            child.read(items);
        } else {
            child.read(&parse(&self.folder.join(format!("{name}.rs"))));
        }
    }
}

fn parse(file: &Path) -> Vec<Item> {
    let text =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("read {}: {error}", file.display()));
    syn::parse_file(&text).unwrap_or_else(|error| panic!("parse {}: {error}", file.display())).items
}

impl Crate {
    fn read(root: &Path) -> Self {
        let mut all = Self::default();
        let folder = root.parent().expect("a folder").to_owned();
        Reader { all: &mut all, at: Name::new(), folder }.read(&parse(root));
        all
    }

    /// Finds the module that a path leads to, from a module; `None` if it leads out of the crate, or to what no module has.
    fn resolve(&self, from: &[String], path: &[String], depth: u8) -> Option<Name> {
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Name::new(),
            "self" => from.to_vec(),
            "super" => from.split_last()?.1.to_vec(),
            _ => {
                rest = path;
                from.to_vec()
            }
        };
        let is_relative = rest.len() < path.len();
        let mut steps = 0;
        while let Some((step, behind)) = rest.split_first() {
            let module = self.modules.get(&at)?;
            if step == "super" {
                at.pop()?;
            } else if module.children.contains(step) {
                at.push(step.clone());
            } else if let Some(import) = module.imports.get(step) {
                // What a parent only names stands where it comes from.
                if depth == 0 || import.as_slice() == path {
                    break;
                }
                let mut whole = import.clone();
                whole.extend_from_slice(behind);
                return self.resolve(&at, &whole, depth - 1);
            } else {
                break;
            }
            steps += 1;
            rest = behind;
        }
        (is_relative || steps > 0).then_some(at)
    }

    /// Returns, for each module, which of its children depend on which others.
    fn edges(&self) -> BTreeMap<Name, BTreeMap<String, BTreeSet<String>>> {
        let mut edges: BTreeMap<Name, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for (at, module) in &self.modules {
            for target in module.paths.iter().filter_map(|path| self.resolve(at, path, 8)) {
                let shared = at.iter().zip(&target).take_while(|(one, other)| one == other).count();
                if let (Some(from), Some(to)) = (at.get(shared), target.get(shared)) {
                    let siblings = edges.entry(at[..shared].to_vec()).or_default();
                    siblings.entry(from.clone()).or_default().insert(to.clone());
                }
            }
        }
        edges
    }
}

/// Returns all that can be reached, by one step or more.
fn reachable<'g>(graph: &'g BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<&'g str> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&str> = vec![from];
    while let Some(next) = open.pop() {
        for to in graph.get(next).into_iter().flatten() {
            if seen.insert(to.as_str()) {
                open.push(to);
            }
        }
    }
    seen
}

/// Returns the circles among siblings, each with its members in order.
fn circles(graph: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<Vec<&str>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|name| (name.as_str(), reachable(graph, name))).collect();
    let circle = |name: &&str| {
        let members = reach[name].iter().copied();
        let members =
            members.filter(|other| reach.get(other).is_some_and(|back| back.contains(name)));
        members.collect::<Vec<_>>()
    };
    reach.keys().map(circle).filter(|members| members.len() > 1).collect()
}

#[test]
fn no_module_depends_on_itself_by_way_of_its_siblings() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut found = Vec::new();
    for name in ["log", "core", "ingest", "sinks", "tillrace", "loadtest", "benches"] {
        for root in ["lib.rs", "main.rs", "faults/main.rs"] {
            let file = workspace.join(name).join("src").join(root);
            if !file.exists() {
                continue;
            }
            for (parent, graph) in Crate::read(&file).edges() {
                for circle in circles(&graph) {
                    let mut place = vec![name.to_owned()];
                    place.extend(parent.clone());
                    let inside = |member: &&str| circle.contains(member);
                    let edge = |from: &&str| {
                        let to = graph[*from].iter().map(String::as_str).filter(inside);
                        format!(
                            "  {from} → {}",
                            to.filter(|to| to != from).collect::<Vec<_>>().join(", ")
                        )
                    };
                    let edges: Vec<String> = circle.iter().map(edge).collect();
                    found.push(format!("{}: {circle:?}\n{}", place.join("::"), edges.join("\n")));
                }
            }
        }
    }
    assert!(found.is_empty(), "{} circles of modules:\n{}", found.len(), found.join("\n"));
}
