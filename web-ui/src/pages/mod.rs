//! One file a page; what only one page shows stands beside it under its name.

mod app_details;
mod attention;
mod deploy_draft;
mod deploy_form;
mod deployment_card;
mod deployments;
mod device;
mod device_apps;
mod device_logs;
mod devices;
mod history_charts;
mod login;
mod module_facts;
mod module_row;
mod modules;
mod not_found;
mod overview;
mod recent;
mod running;
mod running_deployments;
mod upload;

pub use deployments::Deployments;
pub use device::DevicePage;
pub use devices::Devices;
pub use login::LoginNeeded;
pub use modules::Modules;
pub use not_found::NotFound;
pub use overview::OverviewPage;
