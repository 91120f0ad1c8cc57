//! From file, environment and command line to settings, with all that is wrong on the way.

use serde::Deserialize;
use tillrace_ingest::TenantSettings;
use tillrace_log::setting::{Inspection, Secret, SettingError};
use tillrace_sinks::SinkSettings;

use super::node::{Content, Node, Origin};
use super::renamed::RenamedKey;
use super::surroundings::Surroundings;
use super::{
    ConfigurationError, DomainSettings, LogSettings, Report, Settings, development, environment,
    inspect, renamed, yaml,
};
use crate::cli::Source;

/// Reads and checks a configuration. Without errors there are settings.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn examine(
    source: &Source,
    surroundings: &Surroundings,
) -> Result<(Option<Settings>, Report), ConfigurationError> {
    let mut report = Report::new(source.log.config.clone());
    let Some(mut tree) = read_file(source, &mut report)? else { return Ok((None, report)) };
    // Before the overlay, so that a variable of the new name meets the file's value, and after it for variables.
    rename_keys(&mut tree, &mut report);
    for error in environment::overlay(&mut tree, surroundings.variables.iter().cloned()) {
        report.error_as_it_is(error);
    }
    rename_keys(&mut tree, &mut report);
    for warning in environment::nearly(surroundings.variables.iter().map(|(name, _)| name.clone()))
    {
        report.warning_as_it_is(warning);
    }
    let Some(mut settings) = read_settings(&mut tree, &mut report) else {
        return Ok((None, report));
    };
    settings.take(source);
    for option in whole_log_options(source).filter(|_| !settings.domains.is_empty()) {
        let fault = "says nothing of which of the `domains` it is for".to_owned();
        report.error_as_it_is(of_file(&option, fault, "set it in the configuration file"));
    }
    if source.log.config.is_none() && settings.domains.is_empty() {
        settings.development = true;
        development::complete(&mut settings)?;
    }
    resolve_secrets(&mut settings, surroundings, &tree, &mut report);
    let mut found = Inspection::default();
    inspect::inspect(&settings, &mut found);
    for path in found.literal_secrets() {
        report.literal_secret(path, &tree);
    }
    for error in found.errors() {
        report.error(error.clone(), &tree);
    }
    for warning in found.warnings() {
        report.warning(warning.clone(), &tree);
    }
    Ok((Some(settings), report))
}

/// Returns the options of the command line that are for the log, whichever that is.
fn whole_log_options(source: &Source) -> impl Iterator<Item = &'static str> {
    let kafka = source.log.kafka.is_some().then_some("--kafka");
    let data = source.log.data.is_some().then_some("--data");
    [kafka, data].into_iter().flatten()
}

/// Gives old keys their new names, and warns of each.
fn rename_keys(tree: &mut Node, report: &mut Report) {
    for RenamedKey { path, new_name } in renamed::find(tree) {
        let remedy = format!("write `{new_name}`").into();
        report.warning(SettingError { path, fault: "is an old name".into(), remedy }, tree);
    }
    renamed::rename(tree);
}

fn read_file(source: &Source, report: &mut Report) -> Result<Option<Node>, ConfigurationError> {
    let Some(path) = &source.log.config else { return Ok(Some(Node::empty())) };
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigurationError::File { path: path.clone(), source })?;
    match yaml::parse(&text, Origin::Line) {
        Ok(tree) if tree.is_null() => Ok(Some(Node::empty())),
        Ok(tree) if matches!(tree.content, Content::Map(_)) => Ok(Some(tree)),
        Ok(_) => {
            let fault = "is no configuration".to_owned();
            report.error_as_it_is(of_file(
                &name,
                fault,
                "write keys and values, as in docs/tillrace.example.yaml",
            ));
            Ok(None)
        }
        Err(error) => {
            report.error_as_it_is(of_file(&name, error.to_string(), "write it as YAML 1.2"));
            Ok(None)
        }
    }
}

fn of_file(name: &impl ToString, fault: String, remedy: &'static str) -> SettingError {
    SettingError { path: name.to_string(), fault: fault.into(), remedy: remedy.into() }
}

/// Reads settings from the tree. What cannot be read is reported and passed over, until the rest can be; what is
/// missing only because of that is not reported.
fn read_settings(tree: &mut Node, report: &mut Report) -> Option<Settings> {
    loop {
        let error = match Settings::deserialize(&*tree) {
            Ok(settings) => return Some(settings),
            Err(error) => error,
        };
        let mut path = error.path.as_str();
        let mut is_known = false;
        if error.is_missing {
            path = path.rsplit_once('.').map_or("", |(section, _)| section);
            is_known = tree.nearest(path).lacks_something();
        }
        if !is_known {
            let (fault, remedy) = (error.fault.into(), error.remedy.into());
            report.error(SettingError { path: error.path.clone(), fault, remedy }, tree);
        }
        // Nothing is read twice: each round refuses something that was not refused before.
        if path.is_empty() || !tree.refuse(path) {
            return None;
        }
    }
}

fn resolve_secrets(
    settings: &mut Settings,
    surroundings: &Surroundings,
    tree: &Node,
    report: &mut Report,
) {
    let Settings { log, sinks, tenants, domains, .. } = settings;
    let mut secrets = secrets_of("", Some(log), sinks, tenants);
    for (place, domain) in domains.iter_mut().enumerate() {
        let DomainSettings { log, sinks, tenants, .. } = domain;
        secrets.extend(secrets_of(&format!("domains[{place}]."), log.as_mut(), sinks, tenants));
    }
    for (path, secret) in secrets {
        if let Err(error) = secret.resolve(&|name| surroundings.variable(name)) {
            let remedy = "set it, or name another with `env:NAME` or `file:PATH`".into();
            report.error(SettingError { path, fault: error.to_string().into(), remedy }, tree);
        }
    }
}

/// Returns the secrets of a section that may have a log, sinks and tenants, each with its path.
fn secrets_of<'s>(
    section: &str,
    log: Option<&'s mut LogSettings>,
    sinks: &'s mut [SinkSettings],
    tenants: &'s mut [TenantSettings],
) -> Vec<(String, &'s mut Secret)> {
    let mut secrets: Vec<(String, &mut Secret)> = Vec::new();
    if let Some(kafka) = log.and_then(|log| log.kafka.as_mut()) {
        let named = kafka.secrets().into_iter();
        secrets.extend(named.map(|(path, secret)| (format!("{section}log.kafka.{path}"), secret)));
    }
    for (index, sink) in sinks.iter_mut().enumerate() {
        let below = |path| format!("{section}sinks[{index}].{path}");
        secrets.extend(sink.secrets().into_iter().map(|(path, secret)| (below(path), secret)));
    }
    for (index, tenant) in tenants.iter_mut().enumerate() {
        let below = |path| format!("{section}tenants[{index}].{path}");
        secrets.extend(tenant.secrets().into_iter().map(|(path, secret)| (below(path), secret)));
    }
    secrets
}
