# The frame of every page, and words that many pages share.
skip-to-content = Skip to content
nav-roles = Parts of Fragua
nav-language = Language
nav-theme = Theme
nav-breadcrumb = You are here
nav-sections = Sections
nav-pages = Pages of this list
theme-system = As the system
theme-light = Light
theme-dark = Dark

role-orchestrator = DAGs
role-tracking = Experiments and models
role-console = Storage
role-app = Predict
role-docs = API docs

search = Search
filter = Filter
clear-filters = Clear filters
filter-state = Filter by state
filter-tag = Filter by tag
close = Close
cancel = Cancel
apply = Apply
create = Create
delete = Delete
download = Download
upload = Upload
copy = Copy
copied = Copied
actions = Actions
name = Name
value = Value
state = State
created = Created
updated = Updated
changed = Changed
started = Started
duration = Duration
size = Size
tag = Tag
tags = Tags
note = Note
params = Parameters
param = Parameter
version = Version
versions = Versions
alias = Alias
aliases = Aliases
run = Run
runs = Runs
details = Details
overview = Overview
show-table = Show as a table
page-first = First page
page-next = Next page
form-refused = This could not be done

count-runs = { $count ->
    [one] { $number } run
   *[other] { $number } runs
  }
count-runs-shown = { $count ->
    [one] { $number } run shown
   *[other] { $number } runs shown
  }
count-rows = { $count ->
    [one] { $number } row
   *[other] { $number } rows
  }
count-entries = { $count ->
    [one] { $number } entry
   *[other] { $number } entries
  }
and-more = { $count ->
    [one] and { $number } more
   *[other] and { $number } more
  }

time-now = now
time-seconds-past = { $number } s ago
time-seconds-future = in { $number } s
time-minutes-past = { $number } min ago
time-minutes-future = in { $number } min
time-hours-past = { $number } h ago
time-hours-future = in { $number } h
time-days-past = { $count ->
    [one] { $number } day ago
   *[other] { $number } days ago
  }
time-days-future = { $count ->
    [one] in { $number } day
   *[other] in { $number } days
  }

state-success = Success
state-ready = Ready
state-failed = Failed
state-running = Running
state-queued = Queued
state-scheduled = Scheduled
state-up_for_retry = Up for retry
state-waiting = Waiting
state-restarting = Restarting
state-skipped = Skipped
state-upstream_failed = Upstream failed
state-killed = Killed
state-removed = Removed
state-none = Not started

error-home = Back to the start
error-403 = This request was refused
error-403-advice = A form can only be sent from a page of Fragua itself. Open the page again and repeat what you did.
error-404 = Not found
error-404-named = { $address } is not there.
missing-asset = asset "{ $name }" does not exist
missing-entry = entry "{ $name }" does not exist
missing-folder = folder "{ $name }" does not exist
missing-experiment = experiment "{ $name }" does not exist
error-404-advice = The address may be mistyped, or what it named was deleted.
error-405 = This address is not for reading
error-405-advice = It takes forms only. Go back to the page with the form.
error-413 = Too large
error-413-advice = What was sent is over the limit. Send it in smaller parts.
error-4xx = This request cannot be answered
error-4xx-advice = Check the address or what was entered, and try again.
error-503 = A part of Fragua is not ready
error-503-advice = It may be starting. Wait a moment and load the page again; fragua doctor tells what is missing.
error-5xx = Something went wrong
error-5xx-advice = The fault is ours, and the log of Fragua has the details. Loading the page again may help.
refused-host = This server does not answer to { $host }
refused-host-advice = The name in the address is none of its own, so that a foreign site cannot reach it through your browser. If it is right, allow it in fragua.toml and start Fragua again; otherwise open Fragua by localhost.
