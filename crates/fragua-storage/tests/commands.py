"""What aws, rclone and s3cmd must find at the S3 endpoint given as the only argument."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ENDPOINT = sys.argv[1]
KEY, SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
folder = Path(tempfile.mkdtemp())
os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
os.environ["HOME"] = str(folder)
# Where one is set, rclone's own transport cannot take it.
os.environ.pop("AWS_CA_BUNDLE", None)
source = folder / "source"
(source / "dir").mkdir(parents=True)
(source / "a ñ.txt").write_text("hello")
(source / "dir" / "large").write_bytes(os.urandom(20 << 20))


def run(*command, fails=False):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
    assert (done.returncode != 0) == fails, (command, done.stdout, done.stderr)
    return done.stdout + (done.stderr if fails else "")


def same(other):
    for name in ["a ñ.txt", "dir/large"]:
        assert (other / name).read_bytes() == (source / name).read_bytes(), name


def aws(*command, **options):
    return run(Path(sys.executable).parent / "aws", "--endpoint-url", ENDPOINT, *command, **options)


def the_aws_command():
    aws("s3", "mb", "s3://aws")
    aws("s3", "sync", source, "s3://aws/in")
    assert "dir/large" in aws("s3", "ls", "--recursive", "s3://aws/in/")
    aws("s3", "sync", "s3://aws/in", folder / "from-aws")
    same(folder / "from-aws")
    aws("s3", "cp", "s3://aws/in/dir/large", "s3://aws/copy")
    aws("s3", "mv", "s3://aws/copy", "s3://aws/moved")
    head = json.loads(aws("s3api", "head-object", "--bucket", "aws", "--key", "moved"))
    assert head["ContentLength"] == 20 << 20
    assert "BucketNotEmpty" in aws("s3", "rb", "s3://aws", fails=True)
    assert "404" in aws("s3api", "head-object", "--bucket", "aws", "--key", "none", fails=True)
    aws("s3", "rb", "--force", "s3://aws")
    assert "aws" not in aws("s3", "ls")


def rclone(*command):
    remote = f":s3,provider=Minio,endpoint='{ENDPOINT}',access_key_id={KEY},secret_access_key={SECRET}:"
    words = [str(word).replace("remote:", remote) for word in command]
    return run("rclone", "--config", "/nonexistent", "--retries", "1", "--s3-chunk-size", "5M", *words)


def the_rclone_command():
    rclone("mkdir", "remote:rclone")
    for _ in range(2):
        rclone("sync", source, "remote:rclone/in")
    rclone("check", source, "remote:rclone/in")
    assert json.loads(rclone("lsjson", "remote:rclone/in/dir"))[0]["Size"] == 20 << 20
    rclone("copy", "remote:rclone/in", folder / "from-rclone")
    same(folder / "from-rclone")
    # A copy on the server keeps the time of the file, which rclone writes into metadata.
    rclone("copyto", "remote:rclone/in/dir/large", "remote:rclone/copy")
    rclone("purge", "remote:rclone")


def s3cmd(*command):
    host = ENDPOINT.split("//")[1]
    return run(
        "s3cmd", "--no-ssl", f"--host={host}", f"--host-bucket={host}/%(bucket)", "--region=us-east-1",
        f"--access_key={KEY}", f"--secret_key={SECRET}", "--no-progress", *command,
    )


def the_s3cmd_command():
    s3cmd("mb", "s3://s3cmd")
    s3cmd("sync", f"{source}/", "s3://s3cmd/in/")
    s3cmd("get", "--recursive", "s3://s3cmd/in/", f"{folder}/from-s3cmd/")
    same(folder / "from-s3cmd")
    assert "20971520" in s3cmd("info", "s3://s3cmd/in/dir/large")
    s3cmd("cp", "s3://s3cmd/in/dir/large", "s3://s3cmd/copy")
    s3cmd("del", "--recursive", "--force", "s3://s3cmd")
    s3cmd("rb", "s3://s3cmd")


(folder / "from-s3cmd").mkdir()
for check in [the_aws_command, the_rclone_command, the_s3cmd_command]:
    check()
    print(check.__name__)
print("all checks passed")
