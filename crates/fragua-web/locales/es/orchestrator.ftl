dags-title = DAG
dags-lead = Qué se ejecuta, cuándo toca y cómo fueron las últimas ejecuciones.
dags-search = Buscar por nombre, responsable o etiqueta
dags-all = Todos
dags-active = Activos
dags-paused = En pausa
dags-failing = Con fallos
dags-none = Todavía no hay ningún DAG
dags-none-advice = Pon un archivo YAML en la carpeta dags del proyecto. Aparece aquí en un segundo; por ejemplo:
dags-none-found = Ningún DAG coincide
dags-none-found-advice = Prueba con una búsqueda más corta o míralos todos.
dag-active-named = { $dag } está activo
dag-active-hint = Activo: se ejecuta según su programación. Pulsa para pausarlo.
dag-paused-hint = En pausa: no empieza por sí solo. Pulsa para activarlo.
import-errors = { $count ->
    [one] No se pudo leer un archivo de DAG
   *[other] No se pudieron leer { $number } archivos de DAG
  }
active = Activo
paused = En pausa
schedule = Programación
owner = Responsable
last-runs = Últimas ejecuciones
next-run = Próxima ejecución
next-run-due = toca ahora
next-run-due-hint = Se crea en cuanto las ejecuciones en curso le dejen sitio.
no-runs-yet = Sin ejecuciones todavía
no-runs-advice = Lánzalo, o actívalo y espera a que le toque.
trigger = Lanzar
trigger-title = Lanzar { $dag }
trigger-lead = Se inicia una ejecución al momento con estos parámetros.
note-hint = Opcional. Por qué se lanzó esta ejecución; se muestra junto a ella.
logical-date = Fecha lógica (UTC)
graph = Grafo
grid = Cuadrícula
grid-caption = La ejecución más antigua primero. Las barras son duraciones.
task = Tarea
tasks = Tareas
operator = Operador
needs = Necesita
code = Código
code-missing = No se puede leer el archivo
code-missing-advice = Puede que se haya movido o borrado desde la última carga.
run-type = Tipo
run-type-scheduled = Programada
run-type-manual = Manual
run-type-backfill = Backfill
run-type-operator-triggered = Por otro DAG
run-type-asset-triggered = Por activos actualizados
clear-run = Repetir
tracking-runs = Experimentos
log = Registro
log-find = Buscar en el registro
log-follow = Seguir
log-live = En vivo
log-raw = Texto
log-empty = Todavía no se ha escrito nada.
log-cut = Solo se muestra el principio de este registro. El archivo de texto lo tiene entero.
log-choose = Ninguna tarea ha empezado todavía
log-choose-advice = El registro aparece aquí en cuanto empiece una.
attempt = Intento
attempt-number = Intento { $number }
attempts-of = Intento { $number } de { $most }
progress = { $done } de { $all } terminadas
fact-file = Archivo
fact-schedule = Programación
fact-timezone = Zona horaria
fact-start-date = Fecha de inicio
fact-end-date = Fecha final
fact-catchup = Ponerse al día
fact-max-active = Ejecuciones a la vez
fact-timeout = Tiempo límite de una ejecución
fact-version = Versión
yes = Sí
no = No
none = Ninguno
count-dags = { $count ->
    [one] { $number } DAG
   *[other] { $number } DAG
  }
count-tasks = { $count ->
    [one] { $number } tarea
   *[other] { $number } tareas
  }
graph-needs = { $task } necesita { $needs }.
field-bad-json = No es JSON válido
field-not-number = Escribe un número
field-not-whole = Escribe un número entero
field-required = Escribe un valor
field-between = Entre { $lowest } y { $highest }
field-at-least = Como mínimo { $lowest }
field-at-most = Como máximo { $highest }

schedule-none = A petición
schedule-once = Una vez
schedule-continuous = Sin pausa
schedule-hourly = Cada hora
schedule-daily = A diario a las 00:00
schedule-weekly = Los domingos a las 00:00
schedule-monthly = El día 1 de cada mes
schedule-quarterly = El día 1 de cada trimestre
schedule-yearly = El 1 de enero de cada año
schedule-every-seconds = { $count ->
    [one] Cada segundo
   *[other] Cada { $number } segundos
  }
schedule-every-minutes = { $count ->
    [one] Cada minuto
   *[other] Cada { $number } minutos
  }
schedule-every-hours = { $count ->
    [one] Cada hora
   *[other] Cada { $number } horas
  }
schedule-every-days = { $count ->
    [one] Cada día
   *[other] Cada { $number } días
  }
schedule-minute = Cada hora en el minuto { $minute }
schedule-daily-at = A diario a las { $time }
schedule-workdays-at = De lunes a viernes a las { $time }
schedule-weekday-at = { $day } a las { $time }
schedule-monthly-at = El día { $day } de cada mes a las { $time }
schedule-weekday-0 = Los domingos
schedule-weekday-1 = Los lunes
schedule-weekday-2 = Los martes
schedule-weekday-3 = Los miércoles
schedule-weekday-4 = Los jueves
schedule-weekday-5 = Los viernes
schedule-weekday-6 = Los sábados
last-logical-date = Última fecha lógica
dag-broken = Archivo con errores
dag-broken-hint = Ahora no se puede leer el archivo de este DAG; se ejecuta como estaba antes.
dag-gone = Falta el archivo

waits-paused-dag = La ejecución espera: su DAG está en pausa
waits-active-runs = La ejecución espera: hay { $running } en curso y se permiten { $limit }
waits-tasks = Espera a { $tasks }
waits-past = Espera a la ejecución anterior, { $run }: { $tasks }
waits-no-pool = Espera: no hay ningún pool { $pool }
waits-pool-too-small = No puede empezar: huecos necesarios: { $needed }; en el pool { $pool }: { $slots }
waits-pool-full = El pool { $pool } está lleno ({ $slots })
waits-pool-full-held = El pool { $pool } está lleno ({ $slots }): lo ocupan { $holders }
waits-run-limit = Ya están en curso todas las tareas de su ejecución que se permiten a la vez: { $limit }
waits-task-limit = Ya están en curso todos los intentos suyos que se permiten a la vez: { $limit }
waits-no-worker-for-queue = Ningún worker atiende la cola { $queue }
waits-next-look = Aún no está; vuelve a mirar: { $at }
waits-other-run = Espera a la ejecución { $run } de { $dag }
waits-other-tasks = Espera a { $tasks } de { $dag }, ejecución { $run }
waits-no-worker = No hay ningún worker en marcha
waits-silent-worker = { $count ->
    [one] Ningún worker da señales desde hace un segundo
   *[other] Ningún worker da señales desde hace { $number } segundos
  }
waits-no-free-slot = { $count ->
    [one] Espera un hueco libre en un worker; hay una tarea en curso
   *[other] Espera un hueco libre en un worker; hay { $number } tareas en curso
  }
waits-instant = Espera hasta { $at }
waits-dag = Espera a { $dag }
waits-dag-because = Espera a { $dag }: { $reasons }
waits-dag-unknown = no hay ningún DAG con este nombre
waits-dag-running = { $count ->
    [one] hay una ejecución en curso
   *[other] hay { $number } ejecuciones en curso
  }
waits-dag-queued = { $count ->
    [one] una ejecución espera para empezar
   *[other] { $number } ejecuciones esperan para empezar
  }
waits-dag-paused = está en pausa
waits-dag-due = ya toca la ejecución de { $at }
waits-dag-never-ran = no se ha ejecutado nunca
waits-dag-failed = su ejecución { $run } ha fallado
waits-retry = Se intenta otra vez: { $at }
waits-retry-because = Se intenta otra vez: { $at }. { $message }
waits-stop = Se ha pedido otra vez; empieza de nuevo cuando se detenga su intento
