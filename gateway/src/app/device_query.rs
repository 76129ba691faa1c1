//! Which devices are meant: `status:offline arch:riscv64 module:filter@2 kitchen`.
//!
//! All terms have to hold; a term with commas holds for any of its values, and one with a
//! `-` before it where it does not hold. What has no known word and colon before it is
//! text, looked for in names, ids and fingerprints. Matching looks at records and last
//! reports and makes no view, so that ten thousand devices are looked through in
//! milliseconds and only a page of them is shown.

use super::paging::{PageRequest, Pages, ordered, shown};
use super::{App, AppError, State, views};
use crate::store::record::DeviceRecord;
use crate::telemetry::{DeviceTelemetry, Telemetry};
use gateway_api::{Connection, Device, Page};

const QUERY_BYTES_MAX: usize = 500;
const TERMS_MAX: usize = 16;
const FACETS: &str = "status, arch, target, module, alarm, name and id";
const STATUSES: [&str; 6] = ["online", "offline", "new", "revoked", "drift", "refused"];
const SORTS: &str = "name, status, target, last_seen, enrolled, cpu and memory";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceSearch {
    /// Empty for all devices.
    pub q: String,
    /// As `name`, or `-last_seen` for the other way round.
    pub sort: String,
    pub page: PageRequest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Facet {
    Status,
    Arch,
    Target,
    Module,
    Alarm,
    Name,
    Id,
    Text,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    is_wanted: bool,
    facet: Facet,
    /// In lower case; any of them.
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Name,
    Status,
    Target,
    LastSeen,
    Enrolled,
    Cpu,
    Memory,
}

fn parse_terms(q: &str) -> Result<Vec<Term>, AppError> {
    if q.len() > QUERY_BYTES_MAX {
        return Err(AppError::bad_request(format!("q is longer than {QUERY_BYTES_MAX} bytes.")));
    }
    let terms: Vec<Term> = q.split_whitespace().map(parse_term).collect::<Result<_, _>>()?;
    if terms.len() > TERMS_MAX {
        return Err(AppError::bad_request(format!("q has more than {TERMS_MAX} terms.")));
    }
    Ok(terms)
}

fn parse_term(word: &str) -> Result<Term, AppError> {
    let (is_wanted, rest) = match word.strip_prefix('-') {
        Some(rest) if !rest.is_empty() => (false, rest),
        _ => (true, word),
    };
    let refused = |why: String| AppError::bad_request(format!("{word:?} in q: {why}"));
    let Some((facet, values)) = rest.split_once(':') else {
        return Ok(Term { is_wanted, facet: Facet::Text, values: vec![rest.to_lowercase()] });
    };
    let facet = match facet.to_lowercase().as_str() {
        "status" => Facet::Status,
        "arch" => Facet::Arch,
        "target" => Facet::Target,
        "module" => Facet::Module,
        "alarm" => Facet::Alarm,
        "name" => Facet::Name,
        "id" => Facet::Id,
        other => return Err(refused(format!("there is no facet {other:?}; there are {FACETS}."))),
    };
    let values: Vec<String> = values.split(',').map(str::to_lowercase).collect();
    if values.iter().any(String::is_empty) {
        return Err(refused("a value is missing, as in status:offline,new.".to_owned()));
    }
    let is_unknown = |value: &&String| !STATUSES.contains(&value.as_str());
    if let (Facet::Status, Some(value)) = (facet, values.iter().find(is_unknown)) {
        let known = STATUSES.join(", ");
        return Err(refused(format!("there is no status {value:?}; there are {known}.")));
    }
    Ok(Term { is_wanted, facet, values })
}

fn parse_sort(sort: &str) -> Result<(Sort, bool), AppError> {
    let (name, descending) = sort.strip_prefix('-').map_or((sort, false), |name| (name, true));
    let sort = match name {
        "" | "name" => Sort::Name,
        "status" => Sort::Status,
        "target" => Sort::Target,
        "last_seen" => Sort::LastSeen,
        "enrolled" => Sort::Enrolled,
        "cpu" => Sort::Cpu,
        "memory" => Sort::Memory,
        other => {
            let what =
                format!("sort is {other:?}; it can be {SORTS}, with - before it to turn it.");
            return Err(AppError::bad_request(what));
        }
    };
    Ok((sort, descending))
}

/// What a term is compared with.
struct Candidate<'a> {
    state: &'a State,
    record: &'a DeviceRecord,
    of_device: Option<&'a DeviceTelemetry>,
    connection: Connection,
}

impl Candidate<'_> {
    fn fits(&self, term: &Term) -> bool {
        term.values.iter().any(|value| self.has(term.facet, value)) == term.is_wanted
    }

    fn has(&self, facet: Facet, value: &str) -> bool {
        let record = self.record;
        match facet {
            Facet::Status => self.has_status(value),
            Facet::Arch => {
                let arch = record.target.split('-').next().unwrap_or_default();
                arch.eq_ignore_ascii_case(value)
            }
            Facet::Target => record.target.eq_ignore_ascii_case(value),
            Facet::Module => self.has_module(value),
            Facet::Alarm => {
                let kinds = self.state.shown_alarms.get(&record.device);
                let mut kinds = kinds.into_iter().flatten();
                kinds.any(|kind| value == "any" || kind == value)
            }
            Facet::Name => record.name.to_lowercase().contains(value),
            Facet::Id => record.device.as_str().starts_with(value),
            Facet::Text => {
                record.name.to_lowercase().contains(value)
                    || record.device.as_str().contains(value)
                    || device_protocol::fingerprint(&record.public_key)
                        .to_lowercase()
                        .starts_with(value)
            }
        }
    }

    fn has_status(&self, status: &str) -> bool {
        let is_revoked = self.record.revoked_at_ms.is_some();
        match status {
            "revoked" => is_revoked,
            "drift" => !is_revoked && self.has_drifted(),
            "refused" => {
                let report = self.of_device.and_then(DeviceTelemetry::report);
                report.is_some_and(|report| {
                    report.refused.is_some() || report.apps.iter().any(|a| a.refusal.is_some())
                })
            }
            other => !is_revoked && self.connection.as_str() == other,
        }
    }

    /// It has reported, and not the generation that is wanted.
    fn has_drifted(&self) -> bool {
        let Some(report) = self.of_device.and_then(DeviceTelemetry::report) else { return false };
        let wanted = self.state.model.manifests.get(&self.record.device).map_or(0, |m| m.seq);
        report.seq != wanted
    }

    /// `filter`, or `filter@2`, as it is on the device.
    fn has_module(&self, value: &str) -> bool {
        let (name, version) = match value.split_once('@') {
            Some((name, version)) => (name, version.parse::<u32>().ok()),
            None => (value, None),
        };
        let any_version = !value.contains('@');
        let mut apps = self.of_device.into_iter().flat_map(DeviceTelemetry::apps);
        apps.any(|app| {
            app.report.app == name && (any_version || version == Some(app.report.app_version))
        })
    }

    fn key(&self, sort: Sort) -> String {
        let report = self.of_device.and_then(DeviceTelemetry::report);
        let place = match sort {
            Sort::Name => String::new(),
            Sort::Status if self.record.revoked_at_ms.is_some() => "revoked".to_owned(),
            Sort::Status => self.connection.as_str().to_owned(),
            Sort::Target => self.record.target.clone(),
            Sort::LastSeen => {
                ordered(self.of_device.and_then(DeviceTelemetry::last_seen_ms).unwrap_or_default())
            }
            Sort::Enrolled => ordered(self.record.enrolled_at_ms),
            Sort::Cpu => {
                let percent = self.of_device.and_then(|d| d.cpu_percent).unwrap_or_default();
                // Three digits are what is shown; negative ones there are none.
                ordered((percent.max(0.0) * 1_000.0) as u64)
            }
            Sort::Memory => {
                let usage = report.map(|report| &report.usage);
                let used = usage.map_or(0, |usage| {
                    usage.memory_total_bytes.saturating_sub(usage.memory_available_bytes)
                });
                ordered(used)
            }
        };
        // No name and no target has a line break in it.
        format!("{place}\n{}\n{}", self.record.name, self.record.device)
    }
}

impl App {
    pub fn search_devices(&self, search: &DeviceSearch) -> Result<Page<Device>, AppError> {
        let terms = parse_terms(&search.q)?;
        let (sort, descending) = parse_sort(&search.sort)?;
        let list = format!("devices {} {}", search.sort, search.q);
        let mut pages = Pages::of(&search.page, &list);
        pages.descending = descending;
        let state = self.state();
        let telemetry = self.telemetry();
        let now_ms = self.now_ms();
        let found = find(&state, &telemetry, &terms, now_ms);
        let page = pages.cut(found, |candidate| candidate.key(sort))?;
        Ok(shown(page, |c: Candidate| views::device(&state, &telemetry, c.record, now_ms)))
    }
}

fn find<'a>(
    state: &'a State,
    telemetry: &'a Telemetry,
    terms: &[Term],
    now_ms: u64,
) -> Vec<Candidate<'a>> {
    let to_candidate = |record: &'a DeviceRecord| {
        let of_device = telemetry.device(&record.device);
        let connection = views::connection(of_device, record, now_ms);
        Candidate { state, record, of_device, connection }
    };
    let candidates = state.model.devices.values().map(to_candidate);
    candidates.filter(|c| terms.iter().all(|term| c.fits(term))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::fleet::{FakeDevice, Fleet, app_report};
    use device_protocol::{AppState, RefusalCode, Refused};
    use module_package::ReleaseId;
    use proptest::prelude::*;

    fn fleet() -> Fleet {
        let fleet = Fleet::new();
        let targets = ["x86_64-linux", "aarch64-linux", "riscv64-linux"];
        for number in 1..=6 {
            let device = FakeDevice::new(number, targets[usize::from(number) % 3]);
            fleet.enrol(&device);
            if number <= 4 {
                let mut app = app_report("filter", ReleaseId([1; 32]), AppState::Running);
                app.app_version = number.into();
                fleet.report(&device, &device.report(1, 0, vec![app]));
            }
            if number == 2 {
                fleet.pass_ms(11_000);
            }
        }
        fleet
    }

    fn names(fleet: &Fleet, q: &str, sort: &str) -> Vec<String> {
        let search = DeviceSearch { q: q.into(), sort: sort.into(), ..DeviceSearch::default() };
        let page = fleet.app.search_devices(&search).unwrap();
        assert_eq!(page.total, page.items.len() as u64);
        page.items.into_iter().map(|d| d.name.replace("device-", "")).collect()
    }

    #[test]
    fn facets_and_text_find_what_they_say() {
        let fleet = fleet();
        for (q, found) in [
            ("", "1 2 3 4 5 6"),
            ("status:online", "3 4"),
            ("status:offline", "1 2"),
            ("status:offline,new", "1 2 5 6"),
            ("-status:new", "1 2 3 4"),
            ("arch:riscv64", "2 5"),
            ("ARCH:RISCV64 status:offline", "2"),
            ("target:aarch64-linux", "1 4"),
            ("module:filter", "1 2 3 4"),
            ("module:filter@2", "2"),
            ("module:filter@x", ""),
            ("-module:filter", "5 6"),
            ("DEVICE-3", "3"),
            ("name:ice-6", "6"),
            ("alarm:any", ""),
            ("status:drift", ""),
            ("nowhere", ""),
        ] {
            assert_eq!(names(&fleet, q, "").join(" "), found, "{q}");
        }
        assert_eq!(names(&fleet, "", "-name").join(" "), "6 5 4 3 2 1");
        assert_eq!(names(&fleet, "module:filter", "-last_seen").join(" "), "4 3 2 1");
        assert_eq!(names(&fleet, "", "target").join(" "), "1 4 2 5 3 6");
        let id = FakeDevice::new(5, "riscv64-linux").id.to_string();
        assert_eq!(names(&fleet, &id, "").join(" "), "5");
        assert_eq!(names(&fleet, &format!("id:{}", &id[..6]), "").join(" "), "5");
    }

    #[test]
    fn devices_are_ordered_by_what_they_use_and_found_by_what_they_refused() {
        let fleet = Fleet::new();
        for number in 1..=3_u8 {
            let device = FakeDevice::new(number, "x86_64-linux");
            fleet.enrol(&device);
            for counter in 1..=2 {
                let mut report = device.report(counter, 0, vec![]);
                report.usage.memory_total_bytes = 1_000;
                report.usage.memory_available_bytes = 100 * u64::from(number);
                report.usage.system_cpu_total_ms = 1_000 * counter;
                report.usage.system_cpu_busy_ms = 10 * counter * (u64::from(number) % 3);
                let (code, detail) = (RefusalCode::BadSignature, "changed".to_owned());
                report.refused =
                    (number == 2).then_some(Refused { code, detail, count: 1, seq: None });
                fleet.report(&device, &report);
            }
        }
        fleet.app.revoke_device("device-3").unwrap();
        assert_eq!(names(&fleet, "", "memory").join(" "), "3 2 1");
        assert_eq!(names(&fleet, "", "-cpu").join(" "), "2 1 3");
        assert_eq!(names(&fleet, "", "-enrolled").join(" "), "3 2 1");
        assert_eq!(names(&fleet, "status:refused", "").join(" "), "2");
        assert_eq!(names(&fleet, "status:revoked", "").join(" "), "3");
        assert_eq!(names(&fleet, "-status:revoked", "status").join(" "), "1 2");
    }

    #[test]
    fn a_query_that_means_nothing_says_what_there_is() {
        let fleet = Fleet::new();
        let refusal = |q: &str, sort: &str| {
            let search = DeviceSearch { q: q.into(), sort: sort.into(), ..DeviceSearch::default() };
            fleet.app.search_devices(&search).unwrap_err().to_string()
        };
        assert!(
            refusal("label:a", "").contains("status, arch, target"),
            "{}",
            refusal("label:a", "")
        );
        assert!(refusal("status:gone", "").contains("online, offline, new"));
        assert!(refusal("status:", "").contains("a value is missing"));
        assert!(refusal("", "height").contains("last_seen"));
        assert!(refusal(&"a ".repeat(20), "").contains("16 terms"));
        assert!(refusal(&"a".repeat(501), "").contains("500 bytes"));
    }

    proptest! {
        #[test]
        fn no_query_is_a_fault(q in "\\PC{0,60}", sort in "-?[a-z_]{0,10}") {
            let _ = parse_sort(&sort);
            if let Ok(terms) = parse_terms(&q) {
                prop_assert!(terms.len() <= TERMS_MAX);
            }
        }
    }
}
