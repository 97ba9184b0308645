predict-title = Predecir
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

tab-predict = Una fila
tab-table = Tabla
tab-history = Historial
tab-monitoring = Vigilancia
choose-model = Elegir modelo y versión
choose-model-short = Elegir
choose-model-filter = Filtrar modelos
choose-model-none = El registro no tiene ningún modelo con versión, o no responde.
model-problem = Debería responder otra versión
canary-answers = Canario: la versión { $version } responde al { $percent } % de las peticiones de programas
open-prediction = Abrir
why-this = Por qué esta respuesta
contributions = Lo que aporta cada valor
contributions-note = De lo que el modelo dice de una fila media, paso a paso, a lo que dice de esta: ▲ habla a favor de la respuesta, ▼ en contra.
contribution-base = Fila media
contribution-score = Esta fila
contribution-others = { $count ->
    [one] { $number } variable más
   *[other] { $number } variables más
  }
feature = Variable
similar-rows = Filas de entrenamiento parecidas
similar-note = { $count ->
    [one] La más parecida de { $number } fila sacada de las de entrenamiento.
   *[other] Las más parecidas de { $number } filas sacadas de las de entrenamiento. Los valores iguales resaltan.
  }
likeness = Parecido
predicted-value = Valor predicho
feedback = Valoración
feedback-lead = Cuando sepas la verdad, dilo: con ella se calcula el acierto real.
feedback-right = Correcta
feedback-was = Era { $label }
feedback-change = Cambiarlo
feedback-say-right = Sí, es { $label }
feedback-say-wrong = No, es esto
feedback-truth = Lo verdadero
feedback-missing = Di qué es lo verdadero.
trained-on = Filas de entrenamiento
kept-none = Aquí no se guardan las predicciones
kept-none-advice = El registro de predicciones necesita una base de datos. Arranca Fragua con fragua up o da a serving su base de datos.
prediction-missing = La predicción { $id } no está en el registro: quedó fuera de la muestra o es demasiado antigua.
version-gone = La versión { $version } ya no se puede cargar, así que no se puede explicar su respuesta.
predict-again = Cambiar los valores
answered-at = La versión { $version } respondió en { $time }, por { $source },
row = Fila
rows-word = Filas
when = Cuándo
class = Clase
precision = Precisión
recall = Exhaustividad
accuracy = Acierto
macro-f1 = F1 medio
mean-absolute-error = Error absoluto medio
root-mean-squared-error = Raíz del error cuadrático medio
r-squared = R²
by-day = Por día
by-class = Por clase
confusion = Verdad y predicción
interval-95 = 95 %: { $interval }
live-accuracy = Acierto real
of-rows-with-truth = { $rows } con verdad conocida
accuracy-none = Todavía no se conoce ninguna verdad
accuracy-none-advice = Abre una predicción y di si fue correcta, o envía las verdades con POST /feedback.
history-whose = Predicciones de quién
history-mine = Mías
history-all = De todos
truth-any = Todas
truth-known = Con valoración
truth-unknown = Sin valoración
history-none = Aquí no se ha predicho nada
history-none-advice = Predice una fila o una tabla: aquí se lista lo preguntado y lo respondido.
history-kept = Este navegador recuerda sus últimas 60 predicciones.
history-forget = Olvidar mis predicciones en este navegador
and-more-rows = { $count ->
    [one] y { $number } fila más
   *[other] y { $number } filas más
  }
rows-title = Filas por predecir
predict-all = Predecir todas
copy-csv = Copiar como CSV
row-add = Añadir fila
row-duplicate = Duplicar fila
row-delete = Borrar fila
row-wrong = Mira las celdas
rows-clear = Vaciar la tabla
rows-empty = Rellena antes una fila.
rows-wrong = { $count ->
    [one] Una fila tiene celdas que necesitan otro valor.
   *[other] { $number } filas tienen celdas que necesitan otro valor.
  }
rows-predicted = { $count ->
    [one] { $number } fila predicha.
   *[other] { $number } filas predichas.
  }
rows-pasted = { $count ->
    [one] { $number } fila pegada.
   *[other] { $number } filas pegadas.
  }
rows-no-room = { $count ->
    [one] { $number } fila no cupo: la tabla admite 200. Para más, usa un archivo.
   *[other] { $number } filas no cupieron: la tabla admite 200. Para más, usa un archivo.
  }
paste-title = Pegar filas
paste-advice = Filas de una hoja de cálculo o de un CSV. Con nombres en la primera línea, cada columna encuentra su sitio. También se puede pegar en una celda.
paste-in = Ponerlas
paste-unreadable = No se puede leer lo pegado: { $reason }
logged-rows = Predicciones guardadas
logged-rows-none = Todavía no se ha predicho nada con este modelo.
shown-here = la de aquí
drift = Deriva
drift-too-few = Muy pocas filas para saberlo
drift-none = Sin deriva
drift-moderate = Algo de deriva
drift-large = Mucha deriva
drift-thin = Son pocas filas
drift-thin-advice = Las cifras se mueven por azar. A partir de { $rows } filas dicen algo y puede saltar la alarma.
drift-picture = Antes y ahora
drift-index = Índice de estabilidad
drift-test = Contraste
drift-note = Un índice de estabilidad de la población por debajo de 0.1 no es deriva; desde { $threshold } es mucha. Las barras se abren como tabla.
drift-no-rows = A esta versión todavía no se le ha preguntado nada
drift-no-rows-advice = Predice algo: aquí se compara lo preguntado con las filas de entrenamiento.
drift-no-profile = Esta versión no dice cómo eran sus filas de entrenamiento
drift-no-profile-advice = Los modelos que Fragua entrena desde ahora sí lo dicen. Vuelve a entrenarlo para ver la deriva.
then = Entrenamiento
now = Ahora
missing-shares = sin valor: { $then } antes, { $now } ahora
other-values = otros

tab-batch = Archivo
batch-title = Filas de un archivo
batch-file = Elige un archivo o suéltalo aquí
batch-hint = CSV, Parquet o líneas JSON según la terminación del nombre; CSV y líneas JSON también con gzip; hasta { $limit }.
batch-bad = Una celda que no se puede leer
batch-skip = Omitir su fila
batch-null = Tomarla por vacía
batch-refuse = Rechazar el archivo
batch-to = Archivo puntuado
batch-progress = Cuánto del archivo se ha enviado
batch-go = Puntuar el archivo
batch-result = Resultado
batch-none = Todavía no hay archivo
batch-none-advice = Aquí aparecen el archivo puntuado y lo que no se pudo leer.
batch-no-file = Elige un archivo que no esté vacío.
batch-gone = Este archivo puntuado ya no se guarda. Vuelve a puntuar el archivo.
batch-reason = Motivo
batch-all-good = Se pudieron leer todas las celdas.
batch-columns = Columnas que necesita
batch-bad-cells = { $count ->
    [one] { $number } celda no se pudo leer
   *[other] { $number } celdas no se pudieron leer
  }
batch-skipped = { $count ->
    [one] Se omitió { $number } fila. Las primeras celdas:
   *[other] Se omitieron { $number } filas. Las primeras celdas:
  }
