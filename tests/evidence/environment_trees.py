"""Four machines as their /proc and /sys tell of them: what the kernel writes there, in the words of its own files."""

from __future__ import annotations

from pathlib import Path

_CPU = "sys/devices/system/cpu"
_CALM = "some avg10=0.00 avg60=0.10 avg300=0.05 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"


def plant(root: Path, files: dict[str, str]) -> Path:
    """The files below the root; returns the root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def _common(cpus: str) -> dict[str, str]:
    return {
        "proc/self/status": f"Name:\tpython\nCpus_allowed:\tff\nCpus_allowed_list:\t{cpus}\nMems_allowed_list:\t0\n",
        "proc/self/stat": "71 (python (3) x) R 1 71 71 0 -1 4194304 9 0 0 0 1 2 0 0 20 0 1 0 123456 10 20 "
        "18446744073709551615 1 1 0 0 0 0 0 16781312 2 0 0 0 17 3 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
        "proc/self/personality": "00000000\n",
        "proc/sys/kernel/osrelease": "6.8.0-49-generic\n",
        "proc/sys/kernel/version": "#49-Ubuntu SMP PREEMPT_DYNAMIC Mon Nov  4 02:06:24 UTC 2024\n",
        "proc/sys/kernel/randomize_va_space": "2\n",
        "proc/sys/kernel/numa_balancing": "0\n",
        "proc/sys/vm/nr_hugepages": "0\n",
        "proc/loadavg": "0.08 0.03 0.01 1/612 40213\n",
        "proc/stat": "cpu  1000 0 500 8000 20 0 10 0 0 0\ncpu0 500 0 250 4000 10 0 5 0 0 0\nctxt 12\n",
        "proc/meminfo": "MemTotal:       65536000 kB\nMemFree:  50000000 kB\nMemAvailable:   60000000 kB\n"
        "SwapTotal:       8388604 kB\nSwapFree:        8388604 kB\nHugePages_Total:       0\nHugePages_Free:        0\n"
        "Hugepagesize:       2048 kB\n",
        **{f"proc/pressure/{kind}": _CALM for kind in ("cpu", "memory", "io")},
        "etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 24.04.1 LTS"\nID=ubuntu\n',
        f"{_CPU}/vulnerabilities/meltdown": "Not affected\n",
        f"{_CPU}/vulnerabilities/spectre_v2": "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional\n",
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
        "sys/kernel/mm/transparent_hugepage/defrag": "always defer defer+madvise [madvise] never\n",
        "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
        "sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc hpet acpi_pm \n",
    }


def bare_metal() -> dict[str, str]:
    """Two sockets of four cores of two threads, as a vendor ships it: powersave, turbo, deep sleep, SMT, THP always."""
    files = _common("0-15") | {
        f"{_CPU}/online": "0-15\n",
        f"{_CPU}/isolated": "\n",
        f"{_CPU}/nohz_full": "(null)\n",
        f"{_CPU}/smt/active": "1\n",
        f"{_CPU}/smt/control": "on\n",
        f"{_CPU}/intel_pstate/no_turbo": "0\n",
        f"{_CPU}/cpuidle/current_driver": "intel_idle\n",
        "proc/cpuinfo": "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Gold 6226R CPU\nmicrocode\t: 0x5003707\n"
        "flags\t\t: fpu vme tsc constant_tsc\n\nprocessor\t: 1\nmicrocode\t: 0x5003707\n",
        "proc/cmdline": "BOOT_IMAGE=/vmlinuz root=UUID=1-2 ro quiet mitigations=auto luks.key=Zq7secret tsc=reliable\n",
        "proc/self/cgroup": "0::/user.slice/user-1000.slice/session-3.scope\n",
        "proc/self/mountinfo": "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
        "sys/fs/cgroup/user.slice/user-1000.slice/memory.max": "max\n",
        "sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope/cpu.max": "max 100000\n",
        "sys/class/dmi/id/sys_vendor": "Dell Inc.\n",
        "sys/class/dmi/id/product_name": "PowerEdge R640\n",
        "sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n",
        "sys/devices/system/node/node0/cpulist": "0-3,8-11\n",
        "sys/devices/system/node/node1/cpulist": "4-7,12-15\n",
        "proc/sys/kernel/numa_balancing": "1\n",
    }
    for state, (name, latency_us) in enumerate([("POLL", 0), ("C1", 2), ("C1E", 10), ("C6", 133)]):
        files[f"{_CPU}/cpu0/cpuidle/state{state}/name"] = f"{name}\n"
        files[f"{_CPU}/cpu0/cpuidle/state{state}/latency"] = f"{latency_us}\n"
        files[f"{_CPU}/cpu0/cpuidle/state{state}/disable"] = "0\n"
    for cpu in range(16):
        policy = f"{_CPU}/cpufreq/policy{cpu}"
        files |= {
            f"{policy}/scaling_governor": "powersave\n",
            f"{policy}/scaling_driver": "intel_pstate\n",
            f"{policy}/energy_performance_preference": "balance_power\n",
            f"{policy}/scaling_min_freq": "1200000\n",
            f"{policy}/scaling_max_freq": "3900000\n",
            f"{policy}/cpuinfo_max_freq": "3900000\n",
            f"{_CPU}/cpu{cpu}/topology/thread_siblings_list": f"{cpu % 8},{cpu % 8 + 8}\n",
            f"{_CPU}/cpu{cpu}/thermal_throttle/core_throttle_count": f"{cpu}\n",
        }
    return files


def kvm_guest() -> dict[str, str]:
    """Four virtual CPUs; what belongs to the host is not there to be seen."""
    return _common("0-3") | {
        f"{_CPU}/online": "0-3\n",
        f"{_CPU}/smt/active": "0\n",
        f"{_CPU}/smt/control": "notsupported\n",
        "proc/stat": "cpu  1000 0 500 8000 20 0 10 470 0 0\n",
        "proc/cpuinfo": "processor\t: 0\nmodel name\t: Xeon\nmicrocode\t: 0x1\nflags\t\t: fpu hypervisor\n",
        "proc/cmdline": "console=ttyS0 root=/dev/vda1 isolcpus=2-3\n",
        f"{_CPU}/isolated": "2-3\n",
        "proc/self/status": "Cpus_allowed_list:\t0-1\n",
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        "sys/class/dmi/id/sys_vendor": "QEMU\n",
        "sys/class/dmi/id/product_name": "Standard PC (Q35 + ICH9, 2009)\n",
        "sys/devices/system/clocksource/clocksource0/available_clocksource": "kvm-clock tsc acpi_pm \n",
        "sys/devices/system/node/node0/cpulist": "0-3\n",
    }


def docker_v2() -> dict[str, str]:
    """`docker run --cpus=2.5 --memory=4g --cpuset-cpus=0-7` on a host of sixteen, control groups of version 2."""
    return bare_metal() | {
        ".dockerenv": "",
        "proc/self/status": "Cpus_allowed_list:\t0-7\n",
        "proc/self/cgroup": "0::/\n",
        "proc/1/cgroup": "0::/\n",
        "proc/self/mountinfo": "741 740 0:30 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n",
        "sys/fs/cgroup/cpu.max": "250000 100000\n",
        "sys/fs/cgroup/cpu.stat": "usage_usec 12\nuser_usec 8\nnr_periods 400\nnr_throttled 31\nthrottled_usec 99\n",
        "sys/fs/cgroup/memory.max": "4294967296\n",
        "sys/fs/cgroup/cpuset.cpus.effective": "0-7\n",
    }


def pod_v1() -> dict[str, str]:
    """A pod whose limit is its parent's, control groups of version 1, the host's paths in sight."""
    pod = "/kubepods/burstable/pod12/abc"
    mounts = "".join(
        f"{number} 30 0:{number} {pod} /sys/fs/cgroup/{where} ro - cgroup cgroup rw,{options}\n"
        for number, (where, options) in enumerate(
            [("cpu,cpuacct", "cpu,cpuacct"), ("memory", "memory"), ("cpuset", "cpuset")], start=40
        )
    )
    return _common("0-3") | {
        f"{_CPU}/online": "0-7\n",
        f"{_CPU}/isolated": "\n",
        "var/run/secrets/kubernetes.io/serviceaccount/namespace": "default",
        "proc/self/cgroup": f"11:cpu,cpuacct:{pod}/inner\n9:memory:{pod}\n4:cpuset:{pod}\n1:name=systemd:{pod}\n0::/\n",
        "proc/self/mountinfo": mounts,
        "sys/fs/cgroup/cpu,cpuacct/inner/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu,cpuacct/inner/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/cpu,cpuacct/inner/cpu.stat": "nr_periods 10\nnr_throttled 0\nthrottled_time 0\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/cpuset/cpuset.cpus": "0-3\n",
        "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 50.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n",
    }
