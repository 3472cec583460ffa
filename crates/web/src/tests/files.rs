//! What pages are made of: nothing inline, nothing from elsewhere, every asset under its hash.

use super::scene::Scene;
use axum::http::{StatusCode, header};
use std::fs;
use std::path::{Path, PathBuf};

/// All scripts that are not somebody else's.
const OUR_SCRIPTS: [&str; 8] = [
    "assets/aceso.js",
    "assets/charts.js",
    "assets/line.js",
    "assets/rules.js",
    "assets/sound.js",
    "assets/strip.js",
    "assets/witness.js",
    "assets/worker.js",
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn own(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

#[test]
fn templates_and_assets_name_no_other_origin() {
    for path in files(&own("templates")).into_iter().chain(files(&own("assets"))) {
        let vendored = path.components().any(|part| part.as_os_str() == "vendor");
        if vendored && path.extension().is_none_or(|extension| extension != "js" && extension != "css") {
            continue;
        }
        let mut text = fs::read_to_string(&path).unwrap();
        if vendored {
            // A licence notice names its author; nothing there is fetched.
            text = text.replace("https://github.com/leeoniya/uPlot", "");
        }
        let text = text.replace("xmlns=\"http://www.w3.org/2000/svg\"", "").replace("http://www.w3.org/", "");
        for foreign in ["http://", "https://", "src=\"//", "href=\"//", "url(//", "@import"] {
            assert!(!text.contains(foreign), "{} holds {foreign}", path.display());
        }
    }
}

#[test]
fn templates_hold_no_inline_script_style_or_handler() {
    for path in files(&own("templates")) {
        let text = fs::read_to_string(&path).unwrap().to_lowercase();
        for inline in [
            " style=",
            "<style",
            "javascript:",
            " onclick",
            " onload",
            " onerror",
            " onsubmit",
            "hx-on",
            "|safe",
            "js:",
            "hx-vals",
        ] {
            assert!(!text.contains(inline), "{} holds {inline}", path.display());
        }
        for tag in text.match_indices("<script").map(|(at, _)| &text[at..]) {
            assert!(tag.starts_with("<script defer src=\"{{ crate::assets::href("), "{}", path.display());
        }
    }
}

#[test]
fn our_own_scripts_write_text_and_never_markup() {
    for name in OUR_SCRIPTS {
        let text = fs::read_to_string(own(name)).unwrap();
        for wrong in
            ["innerHTML", "outerHTML =", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
        {
            assert!(!text.contains(wrong), "{name} holds {wrong}");
        }
        // What the server has drawn is parsed in one place.
        assert_eq!(text.contains("DOMParser"), name == "assets/strip.js", "{name}");
    }
}

#[test]
fn rust_sources_hold_no_markup() {
    // These tests read pages, and so they name what they look for.
    let ours = own("src/tests");
    for path in files(&own("src")).into_iter().filter(|path| !path.starts_with(&ours)) {
        let text = fs::read_to_string(&path).unwrap();
        for wrong in ["\"<div", "\"<span", "\"<p>", "\"<a ", "</"] {
            assert!(!text.contains(wrong), "{} holds {wrong}", path.display());
        }
    }
}

#[tokio::test]
async fn every_asset_is_served_for_ever_under_its_hash() {
    let scene = Scene::new();
    for asset in web::assets::ASSETS {
        let response = scene.get(web::assets::href(asset.name), "").await;
        assert_eq!(response.status(), StatusCode::OK, "{}", asset.name);
        assert!(response.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert_eq!(bytes, asset.bytes, "{}", asset.name);
    }
}
