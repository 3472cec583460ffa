//! Kill −9 of node and gateway at random moments under load.

use crate::support::{Folder, aceso, said, ward};

#[test]
fn five_kills_lose_nothing_and_double_nothing() {
    let folder = Folder::new();
    let output = ward(&folder, &["--patients", "3", "--duration", "30s", "--kills", "5", "--seed", "11"]);
    assert!(output.status.success(), "{}", said(&output, &folder));
    let report = folder.report();
    assert_eq!(report["complete"], true);
    assert_eq!(report["kills"].as_array().unwrap().len(), 5, "{report}");
    let genesis = report["genesis"].as_str().unwrap();
    let proven = aceso(&["verify", &folder.text("bundle"), "--genesis", genesis]);
    assert_eq!(proven.status.code(), Some(0), "{}", said(&proven, &folder));
}
