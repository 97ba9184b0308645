dags-title = DAGs
dags-lead = What runs, when it runs next, and how the last runs went.
dags-search = Search by name, owner or tag
dags-all = All
dags-active = Active
dags-paused = Paused
dags-failing = Failing
dags-none = No DAG yet
dags-none-advice = Put a YAML file into the project's dags folder. It appears here within a second, for example:
dags-none-found = No DAG matches
dags-none-found-advice = Try a shorter search, or look at all of them.
dag-active-named = { $dag } is active
dag-active-hint = Active: runs on its schedule. Press to pause it.
dag-paused-hint = Paused: does not start by itself. Press to activate it.
import-errors = { $count ->
    [one] A DAG file could not be read
   *[other] { $number } DAG files could not be read
  }
active = Active
paused = Paused
schedule = Schedule
owner = Owner
last-runs = Last runs
next-run = Next run
next-run-due = due now
next-run-due-hint = It is made as soon as the runs under way leave room for it.
no-runs-yet = No runs yet
no-runs-advice = Trigger it, or activate it and wait for its schedule.
trigger = Trigger
trigger-title = Trigger { $dag }
trigger-lead = A run starts at once with these parameters.
note-hint = Optional. Why this run was started; shown beside it.
logical-date = Logical date (UTC)
graph = Graph
grid = Grid
grid-caption = Oldest run first. Bars are durations.
task = Task
tasks = Tasks
operator = Operator
needs = Needs
code = Code
code-missing = The file cannot be read
code-missing-advice = It may have been moved or deleted since it was last loaded.
run-type = Type
run-type-scheduled = By schedule
run-type-manual = By hand
run-type-backfill = Backfill
run-type-operator-triggered = By another DAG
run-type-asset-triggered = By updated assets
clear-run = Clear
tracking-runs = Experiments
log = Log
log-find = Search in the log
log-follow = Follow
log-live = Live
log-raw = Raw
log-empty = Nothing has been written yet.
log-cut = Only the beginning of this log is shown. The raw file has all of it.
log-choose = No task has started yet
log-choose-advice = The log appears here as soon as one does.
attempt = Attempt
attempt-number = Attempt { $number }
attempts-of = Attempt { $number } of { $most }
progress = { $done } of { $all } done
fact-file = File
fact-schedule = Schedule
fact-timezone = Time zone
fact-start-date = Start date
fact-end-date = End date
fact-catchup = Catch-up
fact-max-active = Runs at once
fact-timeout = Time-out of a run
fact-version = Version
yes = Yes
no = No
none = None
count-dags = { $count ->
    [one] { $number } DAG
   *[other] { $number } DAGs
  }
count-tasks = { $count ->
    [one] { $number } task
   *[other] { $number } tasks
  }
graph-needs = { $task } needs { $needs }.
field-bad-json = This is not valid JSON
field-not-number = Enter a number
field-not-whole = Enter a whole number
field-required = Enter a value
field-between = Between { $lowest } and { $highest }
field-at-least = At least { $lowest }
field-at-most = At most { $highest }

schedule-none = On demand
schedule-once = Once
schedule-continuous = Continuously
schedule-hourly = Every hour
schedule-daily = Daily at 00:00
schedule-weekly = Sundays at 00:00
schedule-monthly = Day 1 of each month
schedule-quarterly = Day 1 of each quarter
schedule-yearly = January 1 of each year
schedule-every-seconds = { $count ->
    [one] Every second
   *[other] Every { $number } seconds
  }
schedule-every-minutes = { $count ->
    [one] Every minute
   *[other] Every { $number } minutes
  }
schedule-every-hours = { $count ->
    [one] Every hour
   *[other] Every { $number } hours
  }
schedule-every-days = { $count ->
    [one] Every day
   *[other] Every { $number } days
  }
schedule-minute = Every hour at minute { $minute }
schedule-daily-at = Daily at { $time }
schedule-workdays-at = Monday to Friday at { $time }
schedule-weekday-at = { $day } at { $time }
schedule-monthly-at = Day { $day } of each month at { $time }
schedule-weekday-0 = Sundays
schedule-weekday-1 = Mondays
schedule-weekday-2 = Tuesdays
schedule-weekday-3 = Wednesdays
schedule-weekday-4 = Thursdays
schedule-weekday-5 = Fridays
schedule-weekday-6 = Saturdays
last-logical-date = Last logical date
dag-broken = File has errors
dag-broken-hint = The file of this DAG cannot be read now; it runs as it was before.
dag-gone = File is gone

waits-paused-dag = The run waits: its DAG is paused
waits-active-runs = The run waits: { $running } of at most { $limit } are under way
waits-tasks = Waits for { $tasks }
waits-past = Waits for the run before, { $run }: { $tasks }
waits-no-pool = Waits: there is no pool { $pool }
waits-pool-too-small = Cannot start: slots needed: { $needed }; in the pool { $pool }: { $slots }
waits-pool-full = The pool { $pool } is full ({ $slots })
waits-pool-full-held = The pool { $pool } is full ({ $slots }), held by { $holders }
waits-run-limit = As many tasks of its run are under way as may be: { $limit }
waits-task-limit = As many of its attempts are under way as may be: { $limit }
waits-no-worker-for-queue = No worker listens to the queue { $queue }
waits-next-look = Not there yet; looks again at { $at }
waits-other-run = Waits for the run { $run } of { $dag }
waits-other-tasks = Waits for { $tasks } of { $dag }, run { $run }
waits-no-worker = No worker runs
waits-silent-worker = { $count ->
    [one] No worker was heard of for one second
   *[other] No worker was heard of for { $number } seconds
  }
waits-no-free-slot = { $count ->
    [one] Waits for a free slot of a worker; one task runs
   *[other] Waits for a free slot of a worker; { $number } tasks run
  }
waits-instant = Waits until { $at }
waits-dag = Waits for { $dag }
waits-dag-because = Waits for { $dag }: { $reasons }
waits-dag-unknown = there is no DAG of this name
waits-dag-running = { $count ->
    [one] one run is under way
   *[other] { $number } runs are under way
  }
waits-dag-queued = { $count ->
    [one] one run waits to start
   *[other] { $number } runs wait to start
  }
waits-dag-paused = it is paused
waits-dag-due = the run for { $at } is due
waits-dag-never-ran = it has never run
waits-dag-failed = its run { $run } failed
waits-retry = Tries again at { $at }
waits-retry-because = Tries again at { $at }: { $message }
waits-stop = Was cleared; starts over when its attempt has been stopped
