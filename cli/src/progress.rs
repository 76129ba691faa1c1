//! Moving progress on a terminal's stderr; lines of notes elsewhere.

use crate::console::Console;
use crate::format;
use gateway_api::{Deployment, DeviceProgress};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

fn is_shown(console: &Console) -> bool {
    !console.is_quiet() && !console.verbose && std::io::stderr().is_terminal()
}

/// Hidden unless stderr is a terminal.
pub fn upload_bar(console: &Console, file_name: &str, bytes_total: u64) -> ProgressBar {
    if !is_shown(console) {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(bytes_total), ProgressDrawTarget::stderr());
    let style = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}";
    bar.set_style(style_of(style));
    bar.with_message(format::printable(file_name))
}

/// One line a device.
pub struct DeployProgress<'a> {
    console: &'a Console,
    lines: Option<(MultiProgress, BTreeMap<String, ProgressBar>)>,
    told: BTreeMap<String, String>,
}

impl<'a> DeployProgress<'a> {
    pub fn new(console: &'a Console) -> Self {
        let lines = is_shown(console).then(|| (MultiProgress::new(), BTreeMap::new()));
        Self { console, lines, told: BTreeMap::new() }
    }

    pub fn update(&mut self, deployment: &Deployment) {
        for device in &deployment.progress {
            match &mut self.lines {
                Some((all, bars)) => {
                    let bar = bars.entry(device.device.clone()).or_insert_with(|| {
                        let bar = all.add(ProgressBar::new_spinner());
                        bar.set_style(style_of("{spinner} {msg}"));
                        bar.enable_steady_tick(Duration::from_millis(120));
                        bar
                    });
                    bar.set_message(in_words(device));
                }
                None => {
                    let state = device.state.as_str().to_owned();
                    let told = self.told.insert(device.device.clone(), state.clone());
                    if told.is_none_or(|told| told != state) {
                        self.console.note(in_words(device));
                    }
                }
            }
        }
    }

    /// Takes the moving lines away; what they said is in the final table.
    pub fn finish(self) {
        if let Some((all, _)) = self.lines {
            // A terminal that has gone cannot be cleared.
            let _ = all.clear();
        }
    }
}

fn in_words(device: &DeviceProgress) -> String {
    let mut words = format!("{}: {}", device.device_name, device.state.as_str());
    if device.fetched_bytes > 0 && device.fetched_bytes < device.fetch_total_bytes {
        words += &format!(
            " {} of {}",
            format::bytes(device.fetched_bytes),
            format::bytes(device.fetch_total_bytes)
        );
    }
    if !device.detail.is_empty() {
        words += &format!(" ({})", device.detail);
    }
    format::printable(&words)
}

fn style_of(template: &str) -> ProgressStyle {
    // Our own constants; a wrong one shows at the first run on a terminal.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
