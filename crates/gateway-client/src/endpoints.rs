//! The endpoints, one method each, in the order of `gateway-api`'s table. Those
//! that a browser or a device alone calls have none: opening a login link, and enrolment.
//! Users and what belongs to them are in `access`.

use crate::client::Client;
use crate::error::ClientError;
use crate::exchange::{Body, Request};
use crate::upload::Upload;
use gateway_api::{
    AcceptedEnrolment, AcceptedRelease, AppStatus, Application, ApplicationPlan,
    AppliedApplication, AskedOfDevices, AuditPage, ClaimToken, CompileRecord, Deployment,
    DeploymentPlan, Device, History, HistoryQuery, HistoryRange, LinkedUpload, List, LogLine,
    LoginLink, Module, ModuleEligibility, NewApplication, NewClaimToken, NewDeployment,
    NewGatewayKey, NewMessage, Overview, Page, PendingEnrolments, Published, SentMessage, Session,
    Trust, TrustKey, WaitingRelease,
};
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// From when on, by the gateway's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// Unix time.
    TimeMs(u64),
    /// The last so many seconds.
    LastS(u64),
}

impl Since {
    /// The two parameters that say it.
    fn pairs(since: Option<Self>) -> (Option<String>, Option<String>) {
        match since {
            None => (None, None),
            Some(Self::TimeMs(time_ms)) => (Some(time_ms.to_string()), None),
            Some(Self::LastS(seconds)) => (None, Some(seconds.to_string())),
        }
    }
}

/// Which log lines; all of them unless a field says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    pub device: Option<String>,
    pub app: Option<String>,
    pub since: Option<Since>,
    /// The newest of them only.
    pub limit: Option<u32>,
}

/// Which published values; all of them unless a field says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishedQuery {
    pub device: Option<String>,
    pub app: Option<String>,
    pub channel: Option<String>,
    pub since: Option<Since>,
    /// The newest of them only.
    pub limit: Option<u32>,
}

/// Which devices, and how many of them at a time: `docs/http-api.md`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceQuery {
    /// As `status:offline arch:riscv64 module:filter@2 kitchen`.
    pub q: Option<String>,
    /// As `name` or `-last_seen`.
    pub sort: Option<String>,
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

/// What an upload led to.
#[derive(Debug, Clone, PartialEq)]
pub struct PushedModule {
    pub module: Module,
    /// The gateway did not have these bytes before.
    pub is_new: bool,
}

impl Client {
    /// Whether the gateway serves. Needs no login.
    pub async fn healthz(&self) -> Result<(), ClientError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}healthz", self.base.path()));
        self.exchange(&Request::new(Method::GET, url)).await.map(drop)
    }

    pub async fn session(&self) -> Result<Session, ClientError> {
        self.get(&["session"], &[], "a session").await
    }

    pub async fn create_login_link(&self) -> Result<LoginLink, ClientError> {
        let request = Request::new(Method::POST, self.api_url(&["login-links"])?);
        self.exchange(&request).await?.json("a login link")
    }

    pub async fn logout(&self) -> Result<(), ClientError> {
        let request = Request::new(Method::POST, self.api_url(&["logout"])?);
        self.exchange(&request).await.map(drop)
    }

    pub async fn create_claim_token(&self, new: &NewClaimToken) -> Result<ClaimToken, ClientError> {
        self.post(&["claim-tokens"], new, "a claim token").await
    }

    pub async fn overview(&self) -> Result<Overview, ClientError> {
        self.get(&["overview"], &[], "an overview").await
    }

    /// Records of the audit log behind one, oldest first.
    pub async fn audit(&self, after: u64, limit: Option<u32>) -> Result<AuditPage, ClientError> {
        let limit = limit.map(|limit| limit.to_string());
        let pairs = [("after", &Some(after.to_string())), ("limit", &limit)];
        self.get(&["audit"], &pairs, "a page of the audit log").await
    }

    /// Uploads a module while it is read. `on_progress` is told the bytes handed to
    /// the connection so far, and all of them; a repeat starts again from 0.
    pub async fn push_module(
        &self,
        name: Option<&str>,
        upload: &Upload,
        on_progress: impl Fn(u64, u64) + Send + Sync + 'static,
    ) -> Result<PushedModule, ClientError> {
        self.push_signed_module(name, None, upload, on_progress).await
    }

    /// With the sealed statement of the module's developer.
    pub async fn push_signed_module(
        &self,
        name: Option<&str>,
        signature: Option<&[u8]>,
        upload: &Upload,
        on_progress: impl Fn(u64, u64) + Send + Sync + 'static,
    ) -> Result<PushedModule, ClientError> {
        let mut url = self.api_url(&["modules"])?;
        if let Some(name) = name {
            url.query_pairs_mut().append_pair("name", name);
        }
        if let Some(signature) = signature {
            let digits: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
            url.query_pairs_mut().append_pair("signature", &digits);
        }
        let body = Body::Upload(upload.clone(), Arc::new(on_progress));
        let answer = self.exchange(&Request::new(Method::POST, url).body(body)).await?;
        let is_new = answer.status == 201;
        Ok(PushedModule { module: answer.json("a module")?, is_new })
    }

    /// Modules that the gateway links into one: their bytes, in the order of `upload`.
    pub async fn push_linked_module(
        &self,
        upload: &LinkedUpload,
        modules: &[&[u8]],
        on_progress: impl Fn(u64, u64) + Send + Sync + 'static,
    ) -> Result<PushedModule, ClientError> {
        // Plain text and numbers, which JSON can always hold.
        let mut body = serde_json::to_vec(upload).unwrap_or_default();
        body.push(b'\n');
        modules.iter().for_each(|module| body.extend_from_slice(module));
        let url = self.api_url(&["linked-modules"])?;
        let body = Body::Upload(Upload::from_bytes(body), Arc::new(on_progress));
        let answer = self.exchange(&Request::new(Method::POST, url).body(body)).await?;
        let is_new = answer.status == 201;
        Ok(PushedModule { module: answer.json("a module")?, is_new })
    }

    pub async fn trust(&self) -> Result<Trust, ClientError> {
        self.get(&["trust"], &[], "what is trusted").await
    }

    /// A further key of the gateway, for the next root document.
    pub async fn create_gateway_key(&self, new: &NewGatewayKey) -> Result<TrustKey, ClientError> {
        self.post(&["trust", "keys"], new, "a key").await
    }

    /// Hands a signed root document in; `false` if it was the newest already.
    pub async fn publish_root(&self, sealed: Vec<u8>) -> Result<(bool, Trust), ClientError> {
        let request =
            Request::new(Method::POST, self.api_url(&["roots"])?).body(Body::Cose(sealed));
        let answer = self.exchange(&request).await?;
        Ok((answer.status == 201, answer.json("what is trusted")?))
    }

    pub async fn waiting_releases(&self) -> Result<List<WaitingRelease>, ClientError> {
        self.get(&["releases", "waiting"], &[], "a list of releases").await
    }

    /// Hands a sealed release in.
    pub async fn submit_release(&self, sealed: Vec<u8>) -> Result<AcceptedRelease, ClientError> {
        let url = self.api_url(&["releases"])?;
        let request = Request::new(Method::POST, url).body(Body::Cose(sealed));
        self.exchange(&request).await?.json("an accepted release")
    }

    /// The DSSE envelope of an artifact's provenance, as it is.
    pub async fn provenance(&self, artifact: &str) -> Result<serde_json::Value, ClientError> {
        self.get(&["artifacts", artifact, "provenance"], &[], "a provenance").await
    }

    pub async fn modules(&self) -> Result<List<Module>, ClientError> {
        self.get(&["modules"], &[], "a list of modules").await
    }

    /// By id, `name@version`, or `name` for its newest.
    pub async fn module(&self, reference: &str) -> Result<Module, ClientError> {
        self.get(&["modules", reference], &[], "a module").await
    }

    /// What became of its compilations, the newest first.
    pub async fn compiles(&self, module: &str) -> Result<List<CompileRecord>, ClientError> {
        self.get(&["modules", module, "compiles"], &[], "a list of compilations").await
    }

    /// Which devices can run it, with this limit of memory or the usual one.
    pub async fn eligibility(
        &self,
        module: &str,
        memory_bytes_max: Option<u64>,
        asked: &AskedOfDevices,
    ) -> Result<ModuleEligibility, ClientError> {
        let memory = memory_bytes_max.map(|bytes| bytes.to_string());
        let list = |names: &[String]| (!names.is_empty()).then(|| names.join(","));
        let labels = asked.placement.labels.iter().map(|(key, value)| format!("{key}={value}"));
        let query = [
            ("memory_bytes_max", &memory),
            ("sensors", &list(&asked.sensors)),
            ("actuators", &list(&asked.actuators)),
            ("accelerators", &list(&asked.placement.accelerators)),
            ("labels", &list(&labels.collect::<Vec<_>>())),
        ];
        self.get(&["modules", module, "eligibility"], &query, "a module's eligibility").await
    }

    /// Replaces the known-answer steps by those of this TOML text.
    pub async fn put_known_answers(&self, module: &str, toml: &str) -> Result<Module, ClientError> {
        let url = self.api_url(&["modules", module, "known-answers"])?;
        let request = Request::new(Method::PUT, url).body(Body::Toml(toml.to_owned()));
        self.exchange(&request).await?.json("a module")
    }

    pub async fn create_deployment(&self, new: &NewDeployment) -> Result<Deployment, ClientError> {
        self.post(&["deployments"], new, "a deployment").await
    }

    /// To a module that subscribes to the channel; sent once.
    pub async fn send_message(
        &self,
        device: &str,
        new: &NewMessage,
    ) -> Result<SentMessage, ClientError> {
        self.post(&["devices", device, "messages"], new, "a sent message").await
    }

    pub async fn deployments(&self) -> Result<List<Deployment>, ClientError> {
        self.get(&["deployments"], &[], "a list of deployments").await
    }

    pub async fn deployment(&self, id: &str) -> Result<Deployment, ClientError> {
        self.get(&["deployments", id], &[], "a deployment").await
    }

    /// A new deployment with all that an earlier one had.
    pub async fn repeat_deployment(&self, id: &str) -> Result<Deployment, ClientError> {
        let url = self.api_url(&["deployments", id, "repeat"])?;
        self.exchange(&Request::new(Method::POST, url)).await?.json("a deployment")
    }

    /// Takes the application from the devices.
    pub async fn delete_deployment(&self, id: &str) -> Result<(), ClientError> {
        let request = Request::new(Method::DELETE, self.api_url(&["deployments", id])?);
        match self.exchange(&request).await {
            // An earlier attempt did it, and its answer was lost.
            Err(error) if error.is_not_found() && request.attempts() > 1 => Ok(()),
            result => result.map(drop),
        }
    }

    /// What the deployment would do. Makes none.
    pub async fn plan_deployment(
        &self,
        new: &NewDeployment,
    ) -> Result<DeploymentPlan, ClientError> {
        self.post(&["deployment-plans"], new, "a deployment's plan").await
    }

    /// What applying the file would change. Changes nothing.
    pub async fn plan_application(
        &self,
        new: &NewApplication,
    ) -> Result<ApplicationPlan, ClientError> {
        self.post(&["application-plans"], new, "a plan").await
    }

    pub async fn apply_application(
        &self,
        new: &NewApplication,
    ) -> Result<AppliedApplication, ClientError> {
        self.post(&["applications"], new, "an applied application").await
    }

    pub async fn applications(&self) -> Result<List<Application>, ClientError> {
        self.get(&["applications"], &[], "a list of applications").await
    }

    pub async fn application(&self, name: &str) -> Result<Application, ClientError> {
        self.get(&["applications", name], &[], "an application").await
    }

    /// Takes its modules from the devices.
    pub async fn delete_application(&self, name: &str) -> Result<(), ClientError> {
        let request = Request::new(Method::DELETE, self.api_url(&["applications", name])?);
        match self.exchange(&request).await {
            // An earlier attempt did it, and its answer was lost.
            Err(error) if error.is_not_found() && request.attempts() > 1 => Ok(()),
            result => result.map(drop),
        }
    }

    pub async fn devices(&self) -> Result<List<Device>, ClientError> {
        self.get(&["devices"], &[], "a list of devices").await
    }

    /// Some of the devices, a page of them.
    pub async fn search_devices(&self, query: &DeviceQuery) -> Result<Page<Device>, ClientError> {
        let limit = query.limit.map(|limit| limit.to_string());
        let pairs =
            [("q", &query.q), ("sort", &query.sort), ("limit", &limit), ("cursor", &query.cursor)];
        self.get(&["devices"], &pairs, "a page of devices").await
    }

    /// By id or name.
    pub async fn device(&self, reference: &str) -> Result<Device, ClientError> {
        self.get(&["devices", reference], &[], "a device").await
    }

    pub async fn device_history(&self, reference: &str) -> Result<History, ClientError> {
        self.get(&["devices", reference, "history"], &[], "a device's history").await
    }

    /// What was measured on a device and its modules: `docs/http-api.md`.
    pub async fn device_history_range(
        &self,
        reference: &str,
        query: &HistoryQuery,
    ) -> Result<HistoryRange, ClientError> {
        self.history(&["devices", reference, "history"], query).await
    }

    /// The same of all devices together.
    pub async fn fleet_history(&self, query: &HistoryQuery) -> Result<HistoryRange, ClientError> {
        self.history(&["fleet", "history"], query).await
    }

    async fn history(
        &self,
        path: &[&str],
        query: &HistoryQuery,
    ) -> Result<HistoryRange, ClientError> {
        let pairs: Vec<_> =
            query.to_pairs().into_iter().map(|(name, value)| (name, Some(value))).collect();
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value)).collect();
        self.get(path, &pairs, "a history").await
    }

    /// Ends its session; it gets nothing any more.
    pub async fn revoke_device(&self, reference: &str) -> Result<Device, ClientError> {
        let request = Request::new(Method::POST, self.api_url(&["devices", reference, "revoke"])?);
        self.exchange(&request).await?.json("a device")
    }

    pub async fn remove_device(&self, reference: &str) -> Result<(), ClientError> {
        let request = Request::new(Method::DELETE, self.api_url(&["devices", reference])?);
        match self.exchange(&request).await {
            // An earlier attempt did it, and its answer was lost.
            Err(error) if error.is_not_found() && request.attempts() > 1 => Ok(()),
            result => result.map(drop),
        }
    }

    /// Devices that wait to be accepted by their fingerprint.
    pub async fn pending_enrolments(&self) -> Result<PendingEnrolments, ClientError> {
        self.get(&["enrolments"], &[], "a list of enrolments").await
    }

    pub async fn accept_enrolment(
        &self,
        fingerprint: &str,
    ) -> Result<AcceptedEnrolment, ClientError> {
        let url = self.api_url(&["enrolments", fingerprint, "accept"])?;
        self.exchange(&Request::new(Method::POST, url)).await?.json("an accepted enrolment")
    }

    pub async fn reject_enrolment(&self, fingerprint: &str) -> Result<(), ClientError> {
        let url = self.api_url(&["enrolments", fingerprint, "reject"])?;
        self.exchange(&Request::new(Method::POST, url)).await.map(drop)
    }

    /// Every application on every device.
    pub async fn ps(&self) -> Result<List<AppStatus>, ClientError> {
        self.get(&["ps"], &[], "a list of applications").await
    }

    pub async fn logs(&self, query: &LogQuery) -> Result<List<LogLine>, ClientError> {
        let limit = query.limit.map(|limit| limit.to_string());
        let (since_ms, last_s) = Since::pairs(query.since);
        let pairs = [
            ("device", &query.device),
            ("app", &query.app),
            ("since_ms", &since_ms),
            ("last_s", &last_s),
            ("limit", &limit),
        ];
        self.get(&["logs"], &pairs, "a list of log lines").await
    }

    pub async fn published(&self, query: &PublishedQuery) -> Result<List<Published>, ClientError> {
        let limit = query.limit.map(|limit| limit.to_string());
        let (since_ms, last_s) = Since::pairs(query.since);
        let pairs = [
            ("device", &query.device),
            ("app", &query.app),
            ("channel", &query.channel),
            ("since_ms", &since_ms),
            ("last_s", &last_s),
            ("limit", &limit),
        ];
        self.get(&["published"], &pairs, "a list of published values").await
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        query: &[(&str, &Option<String>)],
        expected: &'static str,
    ) -> Result<T, ClientError> {
        let mut url = self.api_url(segments)?;
        for (key, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(key, value);
            }
        }
        self.exchange(&Request::new(Method::GET, url)).await?.json(expected)
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        body: &impl Serialize,
        expected: &'static str,
    ) -> Result<T, ClientError> {
        // Our types are plain structs of text and numbers, which JSON can always hold.
        let json = serde_json::to_vec(body).expect("API types are JSON");
        let request = Request::new(Method::POST, self.api_url(segments)?).body(Body::Json(json));
        self.exchange(&request).await?.json(expected)
    }
}
