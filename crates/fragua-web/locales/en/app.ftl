predict-title = Predict
predict-lead = Fill in what you know and ask the model. The fields start with its example row.
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
