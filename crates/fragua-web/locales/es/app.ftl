predict-title = Predecir
predict-lead = Rellena lo que sepas y pregunta al modelo. Los campos empiezan con su fila de ejemplo.
predict = Predecir
features = Variables
count-features = { $count ->
    [one] { $number } variable
   *[other] { $number } variables
  }
reset-example = Volver al ejemplo
prediction = Predicción
prediction-none = Todavía no hay predicción
prediction-none-advice = Pulsa Predecir: aquí aparecen la clase y la probabilidad de cada clase.
predicted-class = Clase predicha
with-probability = con probabilidad { $share }
probabilities = Probabilidad de cada clase
close-call = Por poco
close-call-advice = Las dos clases más probables distan menos de 10 puntos. Toma la respuesta con cautela.
answered-by = Ha respondido { $model } versión { $version } en { $time }.
as-request = La misma pregunta como petición
share-inputs = Enlace a estos valores
model = Modelo
registry = Registro de modelos
trained-by = Entrenado por
classes = Clases
range-seen = De { $lowest } a { $highest } en el entrenamiento
outside-range = Fuera de lo que el modelo vio al entrenar
unknown-category = El modelo no vio este valor al entrenar
form-fields-wrong = { $count ->
    [one] Un campo necesita otro valor.
   *[other] { $number } campos necesitan otro valor.
  }
field-missing = Escribe un valor
field-too-large = Este número es demasiado grande
field-not-boolean = Elige sí o no
field-not-text = Escribe un texto
no-model = Todavía no responde ningún modelo
no-model-loading = Se está cargando { $uri }.
no-model-train = Ejecuta el DAG de entrenamiento y espera a que registre un modelo.
no-model-alias = Pon a una versión el alias { $alias } si el entrenamiento no lo ha hecho.
no-model-reload = Vuelve aquí: el formulario aparece en cuanto se carga el modelo.
look-again = Mirar de nuevo
