//! Applications: a file says which modules run where, and the gateway makes it so.
//!
//! A file becomes a deployment for each of its modules. Those that say what runs already
//! stay as they are; the others are replaced, and modules that the file no longer has
//! leave the devices. All of it is one commit, so that a power cut leaves the version
//! before or the new one. `draft` reads the file and finds the deployments, `compare`
//! says what would change and whether it is more than what runs.
//!
//! A module belongs to one application at most, or is deployed by itself.

mod channels;
mod compare;
mod draft;

use super::deployments::to_removal;
use super::model::{Model, shorten};
use super::paging::{Pages, shown};
use super::{App, AppError, PageRequest, State};
use crate::store::Change;
use crate::store::record::{ApplicationRecord, CounterRecord, DeploymentRecord};
pub(super) use compare::{Names, compare};
use draft::{Draft, read_file};
use gateway_api::Page;
use gateway_api::{
    Application, ApplicationModule, ApplicationPlan, AppliedApplication, DeploymentState, Event,
    NewApplication, PlanAction, ProblemCode,
};

/// Whether applying changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    Changed,
    AsItWas,
}

impl App {
    /// What applying would change. Changes nothing.
    pub fn plan_application(&self, new: &NewApplication) -> Result<ApplicationPlan, AppError> {
        let file = read_file(new)?;
        let state = self.state();
        Ok(self.draft_application(&state, &file, new)?.plan)
    }

    pub fn apply_application(
        &self,
        new: &NewApplication,
    ) -> Result<(Applied, AppliedApplication), AppError> {
        let file = read_file(new)?;
        let mut state = self.state();
        let draft = self.draft_application(&state, &file, new)?;
        check_missing(&draft.plan)?;
        if draft.plan.asks_for_more && !new.accept_more {
            return Err(asks_for_more(draft.plan));
        }
        let is_change = draft.plan.to_version != draft.plan.from_version;
        let (record, applied) = match is_change {
            true => (self.carry_out(&mut state, &draft, new)?, Applied::Changed),
            false => (self.keep_text(&mut state, &draft, new)?, Applied::AsItWas),
        };
        let application = self.application_view(&state, &record);
        Ok((applied, AppliedApplication { application, plan: draft.plan }))
    }

    fn carry_out(
        &self,
        state: &mut State,
        draft: &Draft,
        new: &NewApplication,
    ) -> Result<ApplicationRecord, AppError> {
        let mut changes = Vec::new();
        let mut replaced = Vec::new();
        let mut answered = Vec::new();
        let mut records: Vec<DeploymentRecord> = Vec::new();
        let mut last_deployment = state.model.counter.last_deployment;
        for module in &draft.modules {
            let mut record = module.record.clone();
            if !module.is_kept {
                last_deployment += 1;
                record.number = last_deployment;
            }
            for old in earlier_of(&state.model, &record) {
                replaced.push(old.id());
                changes.push(Change::Deployment(DeploymentRecord { removed: true, ..old.clone() }));
            }
            changes.push(Change::Deployment(record.clone()));
            records.push(record);
            answered.extend(module.answered.iter().cloned());
        }
        for old in &draft.removed {
            replaced.push(old.id());
            changes.push(to_removal(&state.model, old.clone()));
        }
        changes.extend(answered.iter().cloned().map(Change::Module));
        let application = ApplicationRecord {
            name: draft.plan.application.clone(),
            version: draft.plan.to_version,
            applied_at_ms: self.now_ms(),
            file: new.file.clone(),
            deployments: records.iter().map(|record| record.number).collect(),
        };
        changes.push(Change::Application(application.clone()));
        changes.push(Change::Counter(CounterRecord { last_deployment }));
        let is_new = |record: &&DeploymentRecord| {
            draft.modules.iter().any(|m| !m.is_kept && m.record.app == record.app)
        };
        let fresh: Vec<&DeploymentRecord> = records.iter().filter(is_new).collect();
        let needed = self.admit(state, &fresh)?;
        self.commit(state, changes)?;
        tracing::info!(
            application = application.name,
            version = application.version,
            "application applied"
        );
        self.begin_deployments(state, &fresh, &needed)?;
        for id in replaced {
            self.events.send(Event::DeploymentRemoved { id });
        }
        for record in &answered {
            self.events.send(Event::Module { module: self.module_view(state, record) });
        }
        for record in &records {
            let deployment = self.deployment_view(state, record);
            self.events.send(Event::Deployment { deployment });
        }
        Ok(application)
    }

    /// Comments and the order of lines are a part of the file that people get back.
    fn keep_text(
        &self,
        state: &mut State,
        draft: &Draft,
        new: &NewApplication,
    ) -> Result<ApplicationRecord, AppError> {
        let present = state.model.applications.get(&draft.plan.application).cloned();
        let present = present.ok_or_else(|| AppError::Bug("a draft without changes".into()))?;
        if present.file == new.file {
            return Ok(present);
        }
        let record = ApplicationRecord { file: new.file.clone(), ..present };
        self.commit(state, vec![Change::Application(record.clone())])?;
        Ok(record)
    }

    /// By name.
    pub fn applications_page(&self, request: &PageRequest) -> Result<Page<Application>, AppError> {
        let state = self.state();
        let records = state.model.applications.values().collect();
        let page = Pages::of(request, "applications")
            .cut(records, |record: &&ApplicationRecord| record.name.clone())?;
        Ok(shown(page, |record| self.application_view(&state, record)))
    }

    pub fn application(&self, name: &str) -> Result<Application, AppError> {
        let state = self.state();
        Ok(self.application_view(&state, find(&state.model, name)?))
    }

    /// Its modules leave the devices, all by one commit.
    pub fn remove_application(&self, name: &str) -> Result<(), AppError> {
        let mut state = self.state();
        let deployments = deployments_of(&state.model, find(&state.model, name)?);
        let ids: Vec<String> = deployments.iter().map(DeploymentRecord::id).collect();
        let removals = deployments.into_iter().map(|record| to_removal(&state.model, record));
        let mut changes: Vec<Change> = removals.collect();
        changes.push(Change::DeleteApplication(name.to_owned()));
        self.commit(&mut state, changes)?;
        tracing::info!(application = name, "application removed");
        self.reconcile_all(&mut state)?;
        for id in ids {
            self.events.send(Event::DeploymentRemoved { id });
        }
        Ok(())
    }

    fn application_view(&self, state: &State, record: &ApplicationRecord) -> Application {
        let modules: Vec<ApplicationModule> = deployments_of(&state.model, record)
            .iter()
            .map(|deployment| ApplicationModule {
                name: deployment.app.clone(),
                deployment: self.deployment_view(state, deployment),
            })
            .collect();
        Application {
            name: record.name.clone(),
            version: record.version,
            applied_at_ms: record.applied_at_ms,
            state: state_of(modules.iter().map(|module| module.deployment.state)),
            modules,
            file: record.file.clone(),
        }
    }
}

fn find<'a>(model: &'a Model, name: &str) -> Result<&'a ApplicationRecord, AppError> {
    model.applications.get(name).ok_or_else(|| {
        AppError::not_found(format!(
            "There is no application {:?}; the list of applications shows all.",
            shorten(name)
        ))
    })
}

/// In the order of the file.
fn deployments_of(model: &Model, application: &ApplicationRecord) -> Vec<DeploymentRecord> {
    let numbers = application.deployments.iter();
    numbers.filter_map(|number| model.deployments.get(number)).cloned().collect()
}

/// What would go on running on devices that the new deployment does not name.
fn earlier_of<'a>(
    model: &'a Model,
    new: &'a DeploymentRecord,
) -> impl Iterator<Item = &'a DeploymentRecord> {
    let is_earlier = |d: &&DeploymentRecord| d.app == new.app && d.number < new.number;
    model.deployments.values().filter(is_earlier).filter(|d| !d.removed)
}

/// The application has come as far as the module that is farthest behind.
fn state_of(modules: impl Iterator<Item = DeploymentState> + Clone) -> DeploymentState {
    let any = |state: DeploymentState| modules.clone().any(|module| module == state);
    if any(DeploymentState::InProgress) {
        DeploymentState::InProgress
    } else if any(DeploymentState::Failed) || any(DeploymentState::Replaced) {
        DeploymentState::Failed
    } else if any(DeploymentState::Waiting) {
        DeploymentState::Waiting
    } else {
        DeploymentState::Done
    }
}

fn check_missing(plan: &ApplicationPlan) -> Result<(), AppError> {
    if plan.missing.is_empty() {
        return Ok(());
    }
    Err(AppError::conflict(format!(
        "The gateway lacks these modules: {}. Upload them first, each under the name of its module.",
        plan.missing.join(", ")
    )))
}

fn asks_for_more(plan: ApplicationPlan) -> AppError {
    let of_module = |module: &gateway_api::ModulePlan| {
        let more = module.differences.iter().filter(|difference| difference.is_more);
        let told: Vec<String> = more.map(|d| compare::in_words(&module.module, d)).collect();
        told
    };
    let told: Vec<String> = plan.modules.iter().flat_map(of_module).collect();
    let detail = format!(
        "{} asks for more than what runs now: {}. Nothing was changed. Look at it, and say yes by \
         accept_more.",
        plan.application,
        told.join("; ")
    );
    AppError::AsksForMore { detail, plan: Box::new(plan) }
}

pub(super) fn invalid_file(errors: Vec<gateway_api::FileProblem>) -> AppError {
    let lines: Vec<String> =
        errors.iter().map(|e| format!("{}:{}: {}", e.line, e.column, e.what)).collect();
    AppError::InvalidFile { detail: lines.join("\n"), errors }
}

/// Used where a file is at odds with what is there, and not wrong in itself.
pub(super) fn changed_meanwhile(name: &str, expected: u32, present: u32) -> AppError {
    let what = match present {
        0 => "is not there".to_owned(),
        version => format!("has version {version} by now"),
    };
    AppError::refused(
        ProblemCode::Conflict,
        format!(
            "{name} {what}, and version {expected} was looked at. Nothing was changed: look again."
        ),
    )
}

fn is_change(plan: &[gateway_api::ModulePlan]) -> bool {
    plan.iter().any(|module| module.action != PlanAction::Keep)
}
