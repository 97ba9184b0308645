predict-title = Predict
predict = Predict
features = Features
count-features = { $count ->
    [one] { $number } feature
   *[other] { $number } features
  }
reset-example = Back to the example
prediction = Prediction
prediction-none = No prediction yet
prediction-none-advice = Press Predict: the class and the probability of each class appear here.
predicted-class = Predicted class
with-probability = with probability { $share }
probabilities = Probability of each class
close-call = This was close
close-call-advice = The two likeliest classes are less than 10 points apart. Treat the answer with care.
answered-by = Answered by { $model } version { $version } in { $time }.
as-request = The same question as a request
share-inputs = Link to these inputs
model = Model
registry = Registry
trained-by = Trained by run
classes = Classes
range-seen = { $lowest } to { $highest } in training
outside-range = Outside what the model has seen in training
unknown-category = The model has not seen this in training
form-fields-wrong = { $count ->
    [one] One field needs another value.
   *[other] { $number } fields need another value.
  }
field-missing = Enter a value
field-too-large = This number is too large
field-not-boolean = Choose yes or no
field-not-text = Enter a text
no-model = No model answers yet
no-model-loading = { $uri } is being loaded.
no-model-train = Run the training DAG and wait until it has registered a model.
no-model-alias = Give a version the alias { $alias } if the training has not.
no-model-reload = Come back here: the form appears by itself once the model is loaded.
look-again = Look again

tab-predict = One row
tab-table = Table
tab-history = History
tab-monitoring = Monitoring
choose-model = Choose a model and a version
choose-model-short = Choose
choose-model-filter = Filter models
choose-model-none = The registry has no model with a version, or it does not answer.
model-problem = Another version should answer
canary-answers = Canary: version { $version } answers { $percent } % of the requests of programs
open-prediction = Open
why-this = Why this answer
contributions = What each value adds
contributions-note = From what the model says of an average row, step by step, to what it says of this one: ▲ speaks for the answer, ▼ against it.
contribution-base = Average row
contribution-score = This row
contribution-others = { $count ->
    [one] { $number } other feature
   *[other] { $number } other features
  }
feature = Feature
similar-rows = Training rows like this one
similar-note = { $count ->
    [one] The most similar of { $number } row drawn from the training rows.
   *[other] The most similar of { $number } rows drawn from the training rows. Equal values stand out.
  }
likeness = Likeness
predicted-value = Predicted value
feedback = Feedback
feedback-lead = Once you know the truth, say so: the live accuracy is computed from it.
feedback-right = Right
feedback-was = It was { $label }
feedback-change = Change this
feedback-say-right = Yes, it is { $label }
feedback-say-wrong = No, it is this
feedback-truth = What is true
feedback-missing = Say what is true.
trained-on = Training rows
kept-none = Predictions are not kept here
kept-none-advice = The prediction log needs a database. Start Fragua with fragua up, or give serving its database.
prediction-missing = The prediction { $id } is not in the log: it was left out of the sample or is too old.
version-gone = Version { $version } cannot be loaded any more, so its answer cannot be explained.
predict-again = Change the values
answered-at = Version { $version } answered in { $time }, asked by { $source },
row = Row
rows-word = Rows
when = When
class = Class
precision = Precision
recall = Recall
accuracy = Accuracy
macro-f1 = Mean F1
mean-absolute-error = Mean absolute error
root-mean-squared-error = Root mean squared error
r-squared = R²
by-day = By day
by-class = By class
confusion = True and predicted
interval-95 = 95 %: { $interval }
live-accuracy = Live accuracy
of-rows-with-truth = { $rows } with a known truth
accuracy-none = No truth is known yet
accuracy-none-advice = Open a prediction and say whether it was right, or send the truths with POST /feedback.
history-whose = Whose predictions
history-mine = Mine
history-all = Of everybody
truth-any = All
truth-known = With feedback
truth-unknown = Without
history-none = Nothing was predicted here
history-none-advice = Predict a row or a table: what was asked and answered is listed here.
history-kept = This browser remembers its last 60 predictions.
history-forget = Forget my predictions in this browser
and-more-rows = { $count ->
    [one] and { $number } more row
   *[other] and { $number } more rows
  }
rows-title = Rows to predict
predict-all = Predict all
copy-csv = Copy as CSV
row-add = Add a row
row-duplicate = Duplicate row
row-delete = Delete row
row-wrong = See the cells
rows-clear = Empty the table
rows-empty = Fill in a row first.
rows-wrong = { $count ->
    [one] One row has cells that need another value.
   *[other] { $number } rows have cells that need another value.
  }
rows-predicted = { $count ->
    [one] { $number } row predicted.
   *[other] { $number } rows predicted.
  }
rows-pasted = { $count ->
    [one] { $number } row pasted.
   *[other] { $number } rows pasted.
  }
rows-no-room = { $count ->
    [one] { $number } row found no room: the table holds 200. Use a file for more.
   *[other] { $number } rows found no room: the table holds 200. Use a file for more.
  }
paste-title = Paste rows
paste-advice = Rows from a spreadsheet or a CSV file. With column names in the first line each column finds its place. Pasting into a cell works too.
paste-in = Put them in
paste-unreadable = What was pasted cannot be read: { $reason }
logged-rows = Predictions kept
logged-rows-none = Nothing was predicted with this model yet.
shown-here = shown here
drift = Drift
drift-too-few = Too few rows to tell
drift-none = No drift
drift-moderate = Some drift
drift-large = Large drift
drift-thin = These are few rows
drift-thin-advice = The figures move by chance. From { $rows } rows on they tell something, and an alarm may be raised.
drift-picture = Then and now
drift-index = Stability index
drift-test = Test
drift-note = A population stability index below 0.1 is no drift, from { $threshold } on it is large. The bars open as a table.
drift-no-rows = This version was asked nothing yet
drift-no-rows-advice = Predict something: what is asked is compared with the training rows here.
drift-no-profile = This version does not say what its training rows were like
drift-no-profile-advice = Models that Fragua trains from now on do. Train it again to see drift.
then = Training
now = Now
missing-shares = without a value: { $then } then, { $now } now
other-values = others

tab-batch = File
batch-title = Rows from a file
batch-file = Choose a file or drop it here
batch-hint = CSV, Parquet or JSON lines by the ending of its name, CSV and JSON lines packed with gzip too; up to { $limit }.
batch-bad = A cell that cannot be read
batch-skip = Leave its row out
batch-null = Take it for empty
batch-refuse = Refuse the file
batch-to = Scored file
batch-progress = How much of the file has been sent
batch-go = Score the file
batch-result = Result
batch-none = No file yet
batch-none-advice = The scored file and a report of what could not be read appear here.
batch-no-file = Choose a file that is not empty.
batch-gone = This scored file is not kept any more. Score the file again.
batch-reason = Reason
batch-all-good = Every cell could be read.
batch-columns = Columns it needs
batch-bad-cells = { $count ->
    [one] { $number } cell could not be read
   *[other] { $number } cells could not be read
  }
batch-skipped = { $count ->
    [one] { $number } row was left out. The first cells:
   *[other] { $number } rows were left out. The first cells:
  }
