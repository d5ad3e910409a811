"""Naive loops, until the kernels are there."""

from __future__ import annotations

from ..element_types import NUMBER


def max_pool(w, x, y, indices):
    for i in range(w.out_height):
        for j in range(w.out_width):
            for c in range(w.channels):
                best = NUMBER(-1e30)
                where = 0
                for u in range(w.kernel_height):
                    for v in range(w.kernel_width):
                        a = i * w.stride_height - w.top + u
                        b = j * w.stride_width - w.left + v
                        if 0 <= a and a < w.height and 0 <= b and b < w.width and x.first[a * x.line + b * w.channels + c] > best:
                            best = x.first[a * x.line + b * w.channels + c]
                            where = u * w.kernel_width + v
                y.first[i * y.line + j * w.channels + c] = best


def max_pool_backward(w, x, dy, indices, dx):
    for i in range(w.height):
        for j in range(w.width * w.channels):
            dx.first[i * dx.line + j] = NUMBER(0.0)
    for i in range(w.out_height):
        for j in range(w.out_width):
            for c in range(w.channels):
                best = NUMBER(-1e30)
                place = 0
                for u in range(w.kernel_height):
                    for v in range(w.kernel_width):
                        a = i * w.stride_height - w.top + u
                        b = j * w.stride_width - w.left + v
                        if 0 <= a and a < w.height and 0 <= b and b < w.width and x.first[a * x.line + b * w.channels + c] > best:
                            best = x.first[a * x.line + b * w.channels + c]
                            place = a * dx.line + b * w.channels + c
                dx.first[place] += dy.first[i * dy.line + j * w.channels + c]


def average_pool(w, x, y):
    for i in range(w.out_height):
        for j in range(w.out_width):
            for c in range(w.channels):
                total = NUMBER(0.0)
                count = 0
                for u in range(w.kernel_height):
                    for v in range(w.kernel_width):
                        a = i * w.stride_height - w.top + u
                        b = j * w.stride_width - w.left + v
                        if 0 <= a and a < w.height and 0 <= b and b < w.width:
                            total += x.first[a * x.line + b * w.channels + c]
                            count += 1
                y.first[i * y.line + j * w.channels + c] = total / NUMBER(count)


def average_pool_backward(w, dy, dx):
    for i in range(w.height):
        for j in range(w.width * w.channels):
            dx.first[i * dx.line + j] = NUMBER(0.0)
    for i in range(w.out_height):
        for j in range(w.out_width):
            for c in range(w.channels):
                count = 0
                for u in range(w.kernel_height):
                    for v in range(w.kernel_width):
                        a = i * w.stride_height - w.top + u
                        b = j * w.stride_width - w.left + v
                        if 0 <= a and a < w.height and 0 <= b and b < w.width:
                            count += 1
                for u in range(w.kernel_height):
                    for v in range(w.kernel_width):
                        a = i * w.stride_height - w.top + u
                        b = j * w.stride_width - w.left + v
                        if 0 <= a and a < w.height and 0 <= b and b < w.width:
                            dx.first[a * dx.line + b * w.channels + c] += dy.first[i * dy.line + j * w.channels + c] / NUMBER(count)
